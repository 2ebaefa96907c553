import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { decodeEvent } from '../../src/events/event.ts'
import { contentOf, cutContent } from '../../src/read-model/projections/entry.ts'
import type { ReadLarge } from '../../src/read-model/queries/read-large.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import {
  type Evaluator,
  fails,
  inShort,
  openEvaluator,
  putRules,
  type Recorded,
  readRecorded,
} from './support.ts'

// Rules with many subjects, large acts, and kinds of rules that can't be measured.

let service: TestService
let evaluator: Evaluator
let readInParts = 0

/** Reads an event in parts, as the worker does. */
const readLarge: ReadLarge = async function* ({ position, recordedAt }) {
  readInParts++
  const [row] = await service.database.owner<{ type: string; version: number; payload: string }[]>`
    select e.type, e.version, e.payload::text as payload
    from events e where e.shard = 0 and e.position = ${position}`
  const event = decodeEvent(row!.type, row!.version, row!.payload)
  yield* cutContent(contentOf(event, recordedAt))
}

beforeAll(async () => {
  // The service itself does not evaluate.
  const intervals = { rules: { evaluateIntervalMs: 1_000_000 } }
  service = await startTestService({ intervals: { ...TEST_INTERVALS, ...intervals } })
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }],
    keys: [{ token_hash: 'a', quota_limit: 100 }],
  })
  evaluator = openEvaluator(service, readLarge)
})
afterAll(async () => {
  await evaluator.close()
  await service.end()
})

const evaluate = () => evaluator.rules.evaluate()
const end = (name: string) => service.fetch('admin', `/admin/rules/${name}`, { method: 'DELETE' })
const use = (token_hash: string, tokens: number) =>
  service.post('/internal/stats/flush', { keys: [{ token_hash, requests: 1, tokens }] })
const flush = (requests: number, success_requests: number) =>
  service.post('/internal/apikey-stats/flush', {
    keys: [{ api_key_id: 1, requests, success_requests }],
  })
const recordedOf = async (name: string): Promise<Recorded[]> =>
  (await readRecorded(service)).filter(({ data }) => data.rule.name === name)

type Listed = { name: string; crossed: number; crossings: { subject: { id: string } }[] }
const list = async () => (await service.read<{ items: Listed[] }>('/admin/rules')).items

describe('of 70,000 subjects that cross a rule', () => {
  beforeAll(async () => {
    await putRules(service, [{ name: 'used', kind: 'quota', percent: 80 }])
    await use('a', 90)
    expect(await evaluate()).toBe(1)
    // More than a statement may have parameters.
    await service.database.owner`
      insert into crossings
      select c.rule, c.subject_kind, 'k' || n, c.position
      from crossings c cross join generate_series(1, 70000) n
      where c.rule = 'used'`
  })

  test('the newest are listed, and all are counted', async () => {
    const used = (await list()).find(({ name }) => name === 'used')!
    expect(used.crossed).toBe(70_001)
    expect(used.crossings.length).toBe(100)
  })

  test('those that it no longer watches are cleared, 200 at a time', async () => {
    expect(await evaluate()).toBe(200)
    expect(await evaluate()).toBe(200)
    const cleared = (await recordedOf('used')).slice(1)
    expect(new Set(cleared.map(({ data }) => data.subject.id)).size).toBe(400)
    expect(cleared.map(({ data }) => 'why' in data && data.why)).toEqual(
      new Array(400).fill('unwatched'),
    )
    await service.database.owner`delete from crossings where subject_id <> 'a'`
    expect(await evaluate()).toBe(0)
    expect((await list()).map(({ name, crossed }) => [name, crossed])).toEqual([['used', 1]])
    await end('used')
    expect(await evaluate()).toBe(1)
  })
})

test('a kind of rules that can not be measured stays as it is, and delays no other', async () => {
  const { owner } = service.database
  await owner`
    insert into verifications (started_at, finished_at, problems, report, row_sha256)
    values (now(), now(), 1, '{}', sha256(''))`
  await putRules(service, [{ name: 'verify', kind: 'failed_verification' }])
  expect(await evaluate()).toBe(1)
  await owner`alter table verifications rename to verifications_away`
  try {
    await putRules(service, [{ name: 'other', kind: 'quota', percent: 50 }])
    expect(await evaluate()).toBe(1)
    expect(inShort(await recordedOf('other'))).toEqual(['crossed other key/a'])
    expect(inShort(await recordedOf('verify'))).toEqual(['crossed verify log/'])
  } finally {
    await owner`alter table verifications_away rename to verifications`
    await owner`delete from verifications`
  }
  await end('other')
  await end('verify')
  expect(await evaluate()).toBe(2)
})

test('the success rate of a group that is retired is no longer watched', async () => {
  await putRules(service, [fails('group', 1), fails('later', 5)])
  await flush(100, 0)
  expect(await evaluate()).toBe(1)
  await service.fetch('admin', '/admin/provider-groups/1', { method: 'DELETE' })
  expect(await evaluate()).toBe(1)
  expect((await recordedOf('group'))[1]!.data).toMatchObject({ why: 'unwatched' })
  await service.putCatalog({ provider_groups: [{ id: 1 }] })
  // What it counted before it was retired is still in the window.
  expect(await evaluate()).toBe(1)
  expect(await recordedOf('later')).toEqual([])
})

test('a large act is read in parts, once, and is not counted', async () => {
  const keys = 20_000
  const ids = Array.from({ length: keys }, (_, i) => i + 10)
  await service.putCatalog({ api_keys: ids.map((id) => ({ id, group_id: 0 })) })
  const random = () => Math.floor(Math.random() * 2 ** 50)
  await service.act('/admin/balances', {
    ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
    provider_groups: [{ id: 1, total_requests: 100_000, success_requests: 100_000 }],
    api_keys: ids.map((id) => {
      const total_requests = random()
      return { id, total_requests, success_requests: total_requests }
    }),
  })
  await flush(50, 0)
  await putRules(service, [fails('another', 1)])
  expect(await evaluate()).toBe(1)
  expect((await recordedOf('another'))[0]!.data.value).toEqual({
    ...{ requests: 150, success_requests: 0 },
  })
  expect(readInParts).toBe(1)
  expect(await evaluate()).toBe(0)
  expect(readInParts).toBe(1)
})
