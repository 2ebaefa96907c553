import { afterEach, beforeEach, expect, test } from 'bun:test'
import { join } from 'node:path'
import fc from 'fast-check'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { parametersOf } from '../property/runs.ts'
import { Session } from '../property/session.ts'
import { history } from '../property/steps.ts'
import { runCommand, useFolder, writeTestParquet } from '../support/archive.ts'
import { insertEvent, positionOf } from '../support/events.ts'
import { startTestService, type TestService } from '../support/service.ts'

const folder = useFolder()
let service: TestService

beforeEach(async () => {
  service = await startTestService()
})
afterEach(() => service.end())

/** Returns the rows of the view `flush_entries` in the format of the file. */
async function readView(): Promise<unknown[]> {
  const rows = await service.database.owner`
    select
      shard, position, (extract(epoch from recorded_at) * 1000000)::bigint as recorded_at, source,
      api_key_id, group_id, token_hash, quota_tracked, requests, successes, tokens, last_accessed_at,
      api_key, (extract(epoch from counted_at) * 1000000)::bigint as counted_at
    from flush_entries`
  return rows.map((row) => JSON.stringify(Object.values(row).map(toText))).sort()
}

async function readFile(path: string): Promise<unknown[]> {
  const file = await asyncBufferFromFile(path)
  // A Date would lose the microseconds.
  const parsers = { timestampFromMicroseconds: (micros: bigint) => micros }
  const rows = await parquetReadObjects({ file, parsers })
  return rows
    .filter(({ type }) => String(type).endsWith('StatsFlushed'))
    .map((row) => {
      const { type, counted_at, quota_used, dimensions, counted_dimensions, measures, ...entry } =
        row
      expect(quota_used).toBe(null)
      return JSON.stringify([...Object.values(entry), counted_at].map(toText))
    })
    .sort()
}

const toText = (value: unknown) =>
  value === null || typeof value === 'boolean' ? value : String(value)

test('an export of random histories has the rows of the view flush_entries', async () => {
  for (const [run, steps] of fc.sample(history, parametersOf(5)).entries()) {
    const session = await Session.begin(service, run + 1)
    for (const step of steps) await session.take(step)
  }
  const path = join(folder.path, 'entries.parquet')
  await writeTestParquet(service.database, path)
  const rows = await readFile(path)
  expect(rows.length).toBeGreaterThan(0)
  expect(rows).toEqual(await readView())
})

test('acts have a row for each account, and sums by account are its totals', async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 7, group_id: 1 }],
    keys: [{ token_hash: 'a' }],
  })
  const rated = { total_requests: 100, success_requests: 90 }
  await service.act('/admin/balances', {
    ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
    ...{ provider_groups: [{ id: 1, ...rated }], api_keys: [{ id: 7, ...rated }] },
    keys: [{ token_hash: 'a', request_count: 3, used_tokens: 50, quota_used: 40 }],
  })
  const flush = { keys: [{ api_key_id: 7, requests: 10, success_requests: 9 }] }
  const posted = await service.post('/internal/apikey-stats/flush', flush)
  await service.post('/internal/apikey-stats/flush', flush)
  const reverse = positionOf(posted)
  await service.act('/admin/corrections', { reverse, reason: 'posted twice' })
  const path = join(folder.path, 'acts.parquet')
  await writeTestParquet(service.database, path)
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) })
  const sumOf = (column: string, value: unknown) =>
    rows.filter((row) => row[column] === value).reduce((sum, row) => sum + row.requests, 0n)
  expect([sumOf('api_key_id', 7n), sumOf('group_id', 1n), sumOf('token_hash', 'a')]).toEqual([
    110n,
    110n,
    3n,
  ])
  const of = (type: string) => rows.filter((row) => row.type === type)
  expect(of('BalancesOpened').map((row) => row.counted_at)).toEqual([null, null, null])
  expect(of('BalancesOpened').at(-1)).toMatchObject({ quota_used: 40n, tokens: 50n })
  const flushed = rows.find(
    ({ position, type, shard }) => `${shard}/${position}` === reverse && type,
  )
  expect(of('EventReversed').map((row) => [row.requests, row.counted_at])).toEqual([
    [-10n, flushed!.recorded_at],
    [-10n, flushed!.recorded_at],
  ])
})

test('dimensions and measures are maps, and sums of both by value are usage', async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 7, group_id: 1 }],
    dimensions: [{ name: 'model' }, { name: 'status' }],
    measures: [{ name: 'output_tokens' }, { name: 'input_tokens' }],
  })
  const entry = (requests: number, dimensions?: object, measures?: object) => ({
    ...{ api_key_id: 7, requests, dimensions, measures },
  })
  const gpt = { model: 'gpt-5', status: '200' }
  const flush = { keys: [entry(10, gpt, { input_tokens: 2 ** 53 - 1 }), entry(4), entry(2, {})] }
  const posted = await service.post('/internal/apikey-stats/flush', flush)
  await service.post('/internal/apikey-stats/flush', flush)
  await service.post('/internal/apikey-stats/flush', {
    keys: [entry(1, { model: 'o4' }, { output_tokens: 3 })],
  })
  const reverse = { reverse: positionOf(posted), reason: 'posted twice' }
  await service.act('/admin/corrections', reverse)
  const path = join(folder.path, 'maps.parquet')
  await writeTestParquet(service.database, path)
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) })
  const at = (row: Record<string, unknown>) => `${row.shard}/${row.position}`
  expect(rows.filter((row) => at(row) === reverse.reverse).map(mapsOf)).toEqual([
    [gpt, gpt, { input_tokens: 2n ** 53n - 1n }],
    [null, null, null],
    [null, null, null],
  ])
  const reversal = rows.filter(({ type, api_key_id }) => type === 'EventReversed' && api_key_id)
  expect(reversal.map((row) => [row.requests, ...mapsOf(row)])).toContainEqual([
    ...[-10n, null, gpt, { input_tokens: 1n - 2n ** 53n }],
  ])
  const { items } = await service.read<{ items: UsageItem[] }>(
    '/admin/breakdown?by=model&api_key_id=7',
  )
  const expected = items.map(({ dimensions, total_requests, measures }) => [
    ...[dimensions.model, String(total_requests), measures],
  ])
  const models = Map.groupBy(
    rows.filter(({ api_key_id }) => api_key_id === 7n),
    ({ counted_dimensions }) => counted_dimensions?.model ?? null,
  )
  const sum = (all: bigint[]) => all.reduce((total, one) => total + one, 0n)
  const sums = [...models].map(([model, some]) => [
    ...[model, String(sum(some.map(({ requests }) => requests)))],
    Object.fromEntries(
      ['input_tokens', 'output_tokens'].map((name) => [
        ...[name, Number(sum(some.map(({ measures }) => measures?.[name] ?? 0n)))],
      ]),
    ),
  ])
  expect(sums.sort()).toEqual(expected.sort())
})

type UsageItem = {
  dimensions: { model: string | null }
  total_requests: number
  measures: Record<string, number>
}

const mapsOf = (row: Record<string, unknown>) =>
  [row.dimensions, row.counted_dimensions, row.measures].map((map) => map ?? null)

test('an adoption has rows in the quarter hours where its keys were posted', async () => {
  await service.putCatalog({ provider_groups: [{ id: 1 }] })
  const flush = { keys: [{ api_key: 'sk-9f', requests: 5, success_requests: 4 }] }
  const posted = await service.post('/internal/apikey-stats/flush', flush)
  await service.post('/internal/stats/flush', {
    keys: [{ token_hash: 'found', requests: 2, tokens: 30, last_accessed_at: 1_700_000_000 }],
  })
  await service.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify({
      api_keys: [{ id: 99, external_id: 'sk-9f', group_id: 1 }],
      keys: [{ token_hash: 'found', quota_limit: 100 }],
    }),
  })
  const path = join(folder.path, 'adoptions.parquet')
  await writeTestParquet(service.database, path)
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) })
  const of = (type: string) => rows.filter((row) => row.type === type)
  const adopted = of('UnknownKeysAdopted')
  const rated = { requests: 5n, successes: 4n, tokens: null, quota_used: null }
  expect(adopted).toMatchObject([
    { api_key_id: 99n, group_id: null, token_hash: null, ...rated },
    { api_key_id: null, group_id: 1n, token_hash: null, ...rated },
    {
      ...{ api_key_id: null, group_id: null, token_hash: 'found', successes: null },
      ...{ requests: 2n, tokens: 30n, quota_used: 30n, last_accessed_at: 1_700_000_000n },
    },
  ])
  const place = positionOf(posted)
  const entry = of('ApiKeyStatsFlushed').find((row) => `${row.shard}/${row.position}` === place)!
  const quarter = 900_000
  const postedAt = (entry.recorded_at as Date).getTime()
  const countedAt = adopted.map((row) => (row.counted_at as Date).getTime())
  expect(countedAt.slice(0, 2)).toEqual(Array(2).fill(postedAt - (postedAt % quarter)))
  expect(countedAt.every((at) => at % quarter === 0)).toBe(true)
})

test('the largest counts are exact, and rows are in the order of the log', async () => {
  const largest = Number.MAX_SAFE_INTEGER
  for (let i = 0; i < 5; i++) {
    const entry = { api_key_id: largest, requests: largest, success_requests: largest - i }
    await service.post('/internal/apikey-stats/flush', { keys: [entry] })
  }
  const path = join(folder.path, 'largest.parquet')
  await writeTestParquet(service.database, path)
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) })
  expect(rows.map(({ requests }) => requests)).toEqual(new Array(5).fill(BigInt(largest)))
  const places = rows.map(({ shard, position }) => `${shard}/${position}`)
  expect(places).toEqual([...places].sort())
})

test('the export of a log without entries has no rows and reports unreadable events', async () => {
  const path = join(folder.path, 'none.parquet')
  await insertEvent(service.database.owner, { type: 'Unheard' })
  const outcome = await runCommand(['export', '--parquet', path], service.database.address)
  const plain = (text: string) => text.replaceAll(folder.path, '<folder>')
  expect(outcome).toMatchObject({ code: 0, stderr: '' })
  expect(plain(outcome.stdout)).toMatchSnapshot()
  const { num_rows, schema } = await parquetMetadataAsync(await asyncBufferFromFile(path))
  expect(num_rows).toBe(0n)
  expect(schema.length).toBe(29)
  const again = await runCommand(['export', '--parquet', path], service.database.address)
  expect(again.code).toBe(1)
  expect(plain(again.stderr)).toMatchSnapshot()
})
