import { expect, test } from 'bun:test'
import { Writable } from 'node:stream'
import pino from 'pino'
import { Outages } from '../../../src/platform/postgres/outages.ts'

type Line = { msg: string; shards?: number[]; node?: string; code?: string; reason?: string }

function makeOutages(): { outages: Outages; lines: Line[] } {
  const lines: Line[] = []
  const output = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const messages = { level: 'warn', begun: 'away', ended: 'back' } as const
  return { outages: new Outages(pino({ base: null }, output), messages), lines }
}

const REFUSED = 'failed with the following error: Connection refused'
const unreachable = (node: string) =>
  Object.assign(new Error(`connection to the remote node tallybook_service@${node} ${REFUSED}`), {
    code: '08006',
  })
const closed = () =>
  Object.assign(new Error('write CONNECTION_CLOSED'), { code: 'CONNECTION_CLOSED' })

test('many failures of one node are logged in one line, which names it', () => {
  const { outages, lines } = makeOutages()
  for (let i = 0; i < 100; i++) {
    for (const shard of [1, 3]) outages.note(shard, unreachable('worker-2.internal:5432'), 'usage')
  }
  expect(lines).toMatchObject([
    { msg: 'away', shards: [1], node: 'worker-2.internal:5432', code: '08006' },
  ])
  expect(lines[0]!.reason).toContain('Connection refused')
})

test('each node has a line of its own, and a server without a name has one', () => {
  const { outages, lines } = makeOutages()
  for (let i = 0; i < 10; i++) {
    outages.note(0, unreachable('10.0.0.7:5432'))
    outages.note(1, unreachable('10.0.0.8:5433'))
    for (let shard = 0; shard < 64; shard++) outages.note(shard, closed())
  }
  expect(lines.map(({ node }) => node)).toEqual(['10.0.0.7:5432', '10.0.0.8:5433', undefined])
})

test('the end is logged once everything that failed has succeeded', () => {
  const { outages, lines } = makeOutages()
  for (const group of ['current', 'usage']) outages.note(2, unreachable('w:1'), group)
  outages.end(2, 'current')
  outages.end(2, 'current')
  outages.end(0, 'usage')
  expect(lines).toHaveLength(1)
  outages.end(2, 'usage')
  outages.end(2, 'usage')
  expect(lines.map(({ msg, node }) => [msg, node])).toEqual([
    ['away', 'w:1'],
    ['back', 'w:1'],
  ])
})

test('work that alternately fails and succeeds does not log a line each time', () => {
  const { outages, lines } = makeOutages()
  for (let i = 0; i < 50; i++) {
    outages.note(0, closed())
    outages.end(0)
  }
  expect(lines.map(({ msg }) => msg)).toEqual(['away', 'back'])
})
