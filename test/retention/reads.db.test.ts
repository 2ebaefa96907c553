import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parametersOf, timeoutOf } from '../property/runs.ts'
import { Session } from '../property/session.ts'
import { history } from '../property/steps.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Reads do not notice that flushes have left the database: each answer is the same, character for
// character, as before.

const SHARDS = TEST_SHARDS
const FLUSH = '/internal/apikey-stats/flush'
const archive = await makeArchive()
let service: TestService

const steps = fc.tuple(history, history, history).map((parts) => parts.flat())

/** Histories with events of all kinds; then enough flushes for every shard to fill segments. */
beforeAll(async () => {
  const database = await createDatabase({ shards: SHARDS })
  await useSmallSegments(database, SHARDS)
  service = await startTestService({ database, shards: SHARDS, archive })
  let run = 1
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      const session = await Session.begin(service, run++)
      for (const step of taken) await session.take(step)
    }),
    parametersOf(3),
  )
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 120 * SHARDS; i++) {
    const keys = [{ api_key_id: 1, requests: 2, successes: 1 }]
    await service.post(FLUSH, { keys }, { 'idempotency-key': `retried-${i}` })
  }
  await service.fetch('admin', '/admin/usage')
}, timeoutOf(100))

afterAll(async () => {
  await service.end()
  await archive.remove()
})

type Item = Record<string, unknown>

async function readItems(path: string): Promise<Item[]> {
  const { items } = await service.read<{ items: Item[] }>(path)
  return items
}

/** Returns the paths that are compared, for what the log has. */
async function choosePaths(): Promise<string[]> {
  const summary = await service.fetch('admin', '/admin/apikey-stats/summary')
  const heads = summary.headers
    .get('tallybook-position')!
    .split(',')
    .map((place) => place.split('/'))
  const ends = heads.map(([, head]) => Number(head))
  const places = [0.1, 0.33, 0.5, 0.8].map((share) =>
    ends.map((end, shard) => `${shard}/${Math.floor(end * share)}`).join(','),
  )
  const events = ends.flatMap((end, shard) =>
    [0, 1, 17, 63, 64, Math.floor(end / 2), end].map((position) => `${shard}/${position}`),
  )
  const times = await Promise.all(
    events.map(async (place) => {
      const event = await service.read<{ recorded_at: string }>(`/audit/events/${place}`)
      return encodeURIComponent(event.recorded_at)
    }),
  )
  const keys = (await readItems('/admin/api-keys?limit=100')).map(({ id }) => id)
  const groups = (await readItems('/admin/provider-groups?limit=100')).map(({ id }) => id)
  const hashes = (await readItems('/admin/keys?limit=100')).map(({ token_hash }) =>
    String(token_hash),
  )
  const scopes = [
    ...keys.slice(0, 6).map((id) => `api_key_id=${id}`),
    ...groups.slice(0, 3).map((id) => `group_id=${id}`),
    ...hashes.slice(0, 4).map((hash) => `token_hash=${encodeURIComponent(hash)}`),
  ]
  const past = [
    ...places.map((place) => `as_of_position=${place}`),
    ...times.map((time) => `as_of=${time}`),
  ]
  const shards = ends.map((_, shard) => shard)
  return [
    ...['/admin/apikey-stats/summary', '/admin/api-keys', '/admin/provider-groups', '/admin/keys'],
    ...past.flatMap((query) => [
      ...[`/admin/apikey-stats/summary?${query}`, `/admin/api-keys?limit=100&${query}`],
      ...[`/admin/keys?limit=100&${query}`, `/admin/provider-groups?limit=100&${query}`],
      ...[`/admin/usage?bucket=hour&${query}`, `/admin/dimensions?${query}`],
    ]),
    ...scopes.flatMap((scope) => [
      ...[`/audit/explain?limit=1000&${scope}`, `/audit/explain?limit=3&${scope}`],
      ...[`/admin/usage?bucket=hour&${scope}`, `/audit/explain?${scope}&${past[2]}`],
      `/admin/usage?${scope}&${past.at(-2)}`,
    ]),
    ...[
      '/audit/explain?limit=1000',
      '/admin/corrections?limit=100',
      '/admin/unknown-keys?limit=100&kind=key',
      '/admin/unknown-keys?kind=api_key',
    ],
    ...shards.flatMap((shard) => [
      ...[
        `/audit/events?shard=${shard}&limit=1000`,
        `/audit/events?shard=${shard}&order=desc&limit=90`,
      ],
      ...[
        `/audit/events?shard=${shard}&order=desc&before=100`,
        `/audit/events?shard=${shard}&after=50`,
      ],
      `/audit/events?shard=${shard}&type=CatalogChanged`,
      `/audit/events?shard=${shard}&type=ApiKeyStatsFlushed&limit=500`,
      `/audit/events?shard=${shard}&type=KeyStatsFlushed&order=desc&limit=7`,
      ...times.map((time) => `/audit/events?shard=${shard}&from=${time}&limit=30`),
      ...times.map((time) => `/audit/events?shard=${shard}&to=${time}&order=desc&limit=30`),
      `/audit/log/${shard}/tile/entries/000`,
      `/audit/log/${shard}/tile/0/000`,
    ]),
    ...events.flatMap((place) => [`/audit/events/${place}`]),
    ...events.map((place) => `/audit/proof/inclusion?${toQuery(place, ends)}`),
  ]
}

function toQuery(place: string, ends: readonly number[]): string {
  const [shard, position] = place.split('/')
  return `shard=${shard}&position=${position}&tree_size=${ends[Number(shard)]! + 1}`
}

async function readAll(paths: readonly string[]): Promise<Map<string, string>> {
  const answers = new Map<string, string>()
  for (const path of paths) {
    const response = await service.fetch('auditor', path)
    const position = response.headers.get('tallybook-position')
    answers.set(path, `${response.status} ${position}\n${await response.text()}`)
  }
  return answers
}

test('no answer changes when flushes leave the database', async () => {
  const paths = await choosePaths()
  const before = await readAll(paths)
  const failed = [...before].filter(([, answer]) => !/^(200|404)/.test(answer))
  expect(failed).toEqual([])
  for (let shard = 0; shard < SHARDS; shard++) {
    expect(await archiveFull(service.database, shard, archive)).toBeGreaterThan(1)
  }
  const [left] = await service.database.owner<{ flushes: number }[]>`
    select count(*)::integer as flushes
    from events e
      join archived_segments a on a.shard = e.shard
        and e.position >= a.first_position and e.position < a.end_position
    where e.type like '%Flushed'`
  expect(left!.flushes).toBe(0)
  await service.stop()
  service = await startTestService({ database: service.database, shards: SHARDS, archive })
  const after = await readAll(paths)
  const changed = paths.filter((path) => after.get(path) !== before.get(path))
  expect(changed.map((path) => ({ path, was: before.get(path), is: after.get(path) }))).toEqual([])
})

test('retries of flushes that have left are answered as the first attempt was', async () => {
  for (const i of [0, 5, 40]) {
    const keys = [{ api_key_id: 1, requests: 2, successes: 1 }]
    const headers = { 'idempotency-key': `retried-${i}` }
    const retry = await service.post(FLUSH, { keys }, headers)
    expect(retry.status).toBe(200)
    expect(retry.headers.get('idempotency-replayed')).toBe('true')
  }
})
