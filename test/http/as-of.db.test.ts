import { beforeAll, expect, test } from 'bun:test'
import { hashPayload } from '../../src/events/event.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { positionOf, untilWaiting } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// Reads of the past: as_of and as_of_position. test/property tests that they are exact.

const SUMMARY = '/admin/apikey-stats/summary'
const FLUSH = '/internal/apikey-stats/flush'

const service = useService()

beforeAll(async () => {
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})

const post = () => service.post(FLUSH, { keys: [{ api_key_id: 1, requests: 1 }] })

async function now(): Promise<string> {
  const [row] = await service.database.owner<{ at: string }[]>`
    select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`
  return row!.at
}

test.each([
  ['as_of=2026-02-30T00:00:00Z', 'invalid query'],
  ['as_of=yesterday', 'invalid request'],
  ['as_of=2026-01-01', 'invalid request'],
  ['as_of=9999-12-31T23:59:59Z', 'invalid query'],
  ['as_of_position=0/999999999', 'invalid query'],
  ['as_of_position=99/0', 'invalid query'],
  ['as_of_position=0/1,0/2', 'invalid query'],
  ['as_of_position=41', 'invalid request'],
  ['as_of_position=0/-2', 'invalid request'],
  ['as_of=2026-01-01T00:00:00Z&as_of_position=0/0', 'invalid query'],
  ['as_of_position=0/0&consistency=eventual', 'invalid query'],
])('%s is refused', async (query, error) => {
  await expectProblem(await service.fetch('auditor', `${SUMMARY}?${query}`), 400, error)
})

test('a read as of a time before the first event is empty', async () => {
  const none = Array.from({ length: service.shards }, (_, shard) => `${shard}/-1`).join(',')
  for (const query of [`as_of_position=${none}`, 'as_of=2001-01-01T00:00:00Z']) {
    const response = await service.fetch('auditor', `/admin/api-keys?${query}`)
    expect(await response.json()).toEqual({ items: [], next_cursor: null })
    expect(positionOf(response)).toBe(none)
    expect((await service.fetch('auditor', `/admin/api-keys/1?${query}`)).status).toBe(404)
  }
})

test('a shard that as_of_position leaves out is read at its head', async () => {
  const before = await service.fetch('admin', SUMMARY)
  const { total_requests } = (await before.json()) as { total_requests: number }
  await post()
  // Shard 0 is read as of before the catalog; the flush may be in any shard.
  const response = await service.fetch('admin', `${SUMMARY}?as_of_position=0/-1`)
  const heads = positionOf(await service.fetch('admin', SUMMARY))
  expect(positionOf(response)).toBe(heads.replace(/^0\/\d+/, '0/-1'))
  const now = await service.fetch('admin', `${SUMMARY}?as_of_position=${heads}`)
  expect(await now.json()).toMatchObject({ total_requests: total_requests + 1 })
})

test('the pages of a read of the past ignore later changes', async () => {
  await service.putCatalog({ api_keys: [2, 3, 4].map((id) => ({ id, group_id: 1 })) })
  const at = positionOf(await service.fetch('admin', '/admin/api-keys'))
  await service.putCatalog({ api_keys: [{ id: 5 }] })
  await service.fetch('admin', '/admin/api-keys/3', { method: 'DELETE' })
  const ids: number[] = []
  for (let cursor = ''; ; ) {
    const page = await service.read<{ items: { id: number }[]; next_cursor: string | null }>(
      `/admin/api-keys?limit=1&sort=-id&as_of_position=${at}${cursor}`,
    )
    ids.push(...page.items.map(({ id }) => id))
    if (page.next_cursor === null) break
    cursor = `&cursor=${page.next_cursor}`
  }
  expect(ids).toEqual([4, 3, 2, 1])
})

test('as_of waits for an append with an earlier time that is not committed yet', async () => {
  const { owner, address } = service.database
  const { total_requests } = await service.read<{ total_requests: number }>(SUMMARY)
  const payload = '{"groups":[1],"counts":[1],"ids":[1],"requests":[5],"failing":[],"failures":[]}'
  const pool = connectAsOwner(address)
  const connection = await pool.reserve()
  await connection`begin`
  await connection`select from shards where shard = 0 for update`
  await connection`
    insert into events
      (shard, position, type, version, recorded_at, source, payload, payload_sha256)
    select 0, max(position) + 1, 'ApiKeyStatsFlushed', 2, clock_timestamp(), 'dp',
      ${payload}::text::json, decode(${hashPayload(payload)}, 'hex')
    from events where shard = 0`
  const read = service.read<{ total_requests: number }>(`${SUMMARY}?as_of=${await now()}`)
  await untilWaiting(owner, 1)
  await connection`commit`
  connection.release()
  await pool.end()
  expect(await read).toMatchObject({ total_requests: total_requests + 5 })
})

test('as_of before the last event of every shard writes nothing', async () => {
  const { owner } = service.database
  await owner`update shards set not_before = '-infinity'`
  const asOf = await now()
  for (let i = 0; i < 4 * service.shards; i++) await post()
  await service.read(`${SUMMARY}?as_of=${asOf}`)
  const rows = await owner`select from shards where not_before > '-infinity'`
  expect(rows.length).toBe(0)
})

test('an as_of finer than a microsecond is not rounded up', async () => {
  await post()
  const { items } = await service.read<{ items: { recorded_at: string; shard: number }[] }>(
    '/audit/events?shard=all&limit=1000',
  )
  const last = items.at(-1)!
  const { total_requests } = await service.read<{ total_requests: number }>(SUMMARY)
  const earlier = (BigInt(Date.parse(`${last.recorded_at.slice(0, 19)}Z`)) * 1000n).toString()
  const micros = BigInt(earlier) + BigInt(last.recorded_at.slice(20, 26)) - 1n
  const seconds = new Date(Number(micros / 1000n)).toISOString().slice(0, 19)
  const fraction = `${String(micros % 1_000_000n).padStart(6, '0')}999`
  const before = await service.read<{ total_requests: number }>(
    `${SUMMARY}?as_of=${seconds}.${fraction}Z`,
  )
  expect(before.total_requests).toBe(total_requests - 1)
})

// This test is the last: it leaves the log 30 s ahead of the clock.
test('no event is recorded at or before an answered as_of, wherever the clock goes', async () => {
  const { owner } = service.database
  await post()
  const asOf = await now()
  const path = `${SUMMARY}?as_of=${asOf}`
  const answer = await service.read(path)
  // This holds even if the clock is set back: no event's time is before `not_before`.
  const rows = await owner<{ shard: number; held: boolean }[]>`
    select s.shard, s.not_before > ${asOf}::timestamptz as held from shards s`
  expect(rows.every(({ held }) => held)).toBe(true)
  // An event takes the time of the row if that is later than the clock.
  await owner`update shards set not_before = clock_timestamp() + interval '30 seconds'`
  const [shard, position] = positionOf(await post()).split('/')
  const [event] = await owner<{ held: boolean }[]>`
    select e.recorded_at = s.not_before as held
    from events e join shards s on s.shard = e.shard
    where e.shard = ${shard!} and e.position = ${position!}`
  expect(event!.held).toBe(true)
  expect(await service.read(path)).toEqual(answer)
})
