import { expect, test } from 'bun:test'
import pino from 'pino'
import { observeRequests } from '../../src/http/observe.ts'
import { until } from '../support/until.ts'

// Slow requests are logged, but not so many that the log is full of them.

type Line = { msg: string; request_id: string; ms: number; omitted?: number }

const SLOW_MS = 20

function observing() {
  const lines: Line[] = []
  const logger = pino({}, { write: (text) => lines.push(JSON.parse(text)) })
  const observe = observeRequests({ logger, slowRequestMs: SLOW_MS, tracer: null })!
  const ask = (id: string, ms: number) =>
    observe(new Request('http://localhost/admin/keys?limit=1'), async () => {
      if (ms > 0) await Bun.sleep(ms)
      return new Response(null, { status: 204, headers: { 'x-request-id': id } })
    })
  return { lines, ask }
}

test('nothing is observed unless it is asked for', () => {
  expect(observeRequests({ logger: pino({}), slowRequestMs: null, tracer: null })).toBeNull()
})

test('a slow request is logged with its id, its path and its time; others are not', async () => {
  const { lines, ask } = observing()
  await ask('fast', 0)
  const response = await ask('slow', 2 * SLOW_MS)
  expect(response.status).toBe(204)
  const [line] = lines
  const about = { method: 'GET', path: '/admin/keys', status: 204 }
  expect(line).toMatchObject({ msg: 'request slow', request_id: 'slow', ...about })
  expect(line!.ms).toBeGreaterThanOrEqual(SLOW_MS)
})

test('the line after many slow requests states how many were omitted', async () => {
  const { lines, ask } = observing()
  let sent = 200
  await Promise.all(Array.from({ length: sent }, (_, i) => ask(`r${i}`, 2 * SLOW_MS)))
  expect(lines.length).toBeLessThan(sent)
  await until(async () => {
    sent++
    await ask('last', 2 * SLOW_MS)
    return lines.at(-1)!.request_id === 'last'
  })
  const omitted = lines.reduce((sum, line) => sum + (line.omitted ?? 0), 0)
  expect(lines.length + omitted).toBe(sent)
})
