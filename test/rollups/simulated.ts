import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

export const DAY_MS = 86_400_000
export const CATALOG = {
  provider_groups: [{ id: 1 }, { id: 2 }],
  api_keys: [
    { id: 1, group_id: 1 },
    { id: 2, group_id: 1 },
    { id: 3, group_id: 2 },
  ],
  keys: [{ token_hash: 'a', quota_limit: 1_000 }, { token_hash: 'b' }],
  dimensions: [{ name: 'model' }, { name: 'status' }],
  measures: [{ name: 'input_tokens' }, { name: 'cost_micros' }],
}

/** Returns a generator of numbers below a limit. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
}

type Sample = { type: string; version: number; payload: string; isLate: boolean }

/** Flushes as a service has encoded them: of both kinds, with dimensions and without. */
function readSamples(random: (below: number) => number): Promise<Sample[]> {
  const bodies = Array.from({ length: 40 }, (_, i) => {
    const isOfKeys = i % 3 === 0
    const keys = Array.from({ length: 1 + random(3) }, (_, j) => {
      const details = [
        {},
        { dimensions: { model: `m${random(3)}` } },
        { dimensions: { status: `s${random(2)}` }, measures: { cost_micros: random(9) } },
        { measures: { input_tokens: 1 + random(2 ** 40) } },
      ][random(4)]
      const requests = random(30)
      return isOfKeys
        ? { token_hash: ['a', 'b'][random(2)], requests, tokens: random(9), ...details }
        : {
            api_key_id: 1 + ((i + j) % 3),
            requests,
            success_requests: random(requests + 1),
            ...details,
          }
    })
    const countedAt = i % 4 === 0 ? { counted_at: Math.floor(Date.now() / 1_000) - 7_200 } : {}
    return { keys, ...countedAt }
  })
  return readFlushes(bodies)
}

type Body = { keys: object[]; counted_at?: number }

/** Flushes with these bodies, as a service with CATALOG has encoded them. */
export async function readFlushes(bodies: readonly Body[]): Promise<Sample[]> {
  const service = await startTestService({ shards: 1 })
  await service.putCatalog(CATALOG)
  for (const body of bodies) {
    const isOfKeys = 'token_hash' in body.keys[0]!
    const path = isOfKeys ? '/internal/stats/flush' : '/internal/apikey-stats/flush'
    const response = await service.post(path, body)
    if (response.status !== 200) throw new Error(await response.text())
  }
  const rows = await service.database.owner<{ type: string; version: number; payload: string }[]>`
    select e.type, e.version, e.payload::text as payload
    from events e
    where e.type in ('ApiKeyStatsFlushed', 'KeyStatsFlushed')
    order by e.position`
  await service.end()
  return rows.map((row) => ({ ...row, isLate: row.payload.includes('"counted_at"') }))
}

type Flush = Omit<Sample, 'isLate'> & { at: string }

/** Inserts flushes into a shard, from a position on. */
export async function insertFlushes(
  { owner }: TestDatabase,
  shard: number,
  first: number,
  some: readonly Flush[],
): Promise<void> {
  await owner`
    insert into events (
      shard, position, type, version, recorded_at, source, payload, payload_sha256
    )
    select
      ${shard}::integer, ${first}::integer + p.number - 1, p.type, p.version::smallint,
      p.recorded_at::timestamptz, 'owner', p.payload::json,
      sha256(convert_to(p.payload, 'UTF8'))
    from unnest(
      ${some.map(({ payload }) => payload)}::text[], ${some.map(({ at }) => at)}::text[],
      ${some.map(({ version }) => version)}::integer[], ${some.map(({ type }) => type)}::text[]
    ) with ordinality p(payload, recorded_at, version, type, number)`
}

/**
 * Appends flushes to empty shards, all of which were recorded on some days: so many days ago each,
 * the oldest first.
 */
export async function insertOldFlushes(
  database: TestDatabase,
  daysAgo: readonly number[],
): Promise<void> {
  const today = Math.floor(Date.now() / DAY_MS)
  const samples = (await readSamples(randomFrom(1))).filter(({ isLate }) => !isLate)
  const some = daysAgo.flatMap((days) =>
    samples.map(({ type, version, payload }, i) => {
      const at = new Date((today - days) * DAY_MS + i * 1_000).toISOString()
      return { type, version, payload, at }
    }),
  )
  for (let shard = 0; shard < TEST_SHARDS; shard++) await insertFlushes(database, shard, 0, some)
}

/**
 * Creates a database with a history of so many days until now: so many flushes in shard 0, and a
 * tenth of it in each other shard. Some were counted up to 34 days before.
 */
export async function simulate(
  days: number,
  flushes: number,
  seed: number,
): Promise<{ service: TestService; database: TestDatabase }> {
  const random = randomFrom(seed)
  const samples = await readSamples(random)
  const database = await createDatabase()
  const end = Date.now() - 60_000
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    const own = shard === 0 ? flushes : Math.floor(flushes / 10)
    for (let first = 0; first < own; first += 2_000) {
      const some = Array.from({ length: Math.min(2_000, own - first) }, (_, i) => {
        const atMs = end - days * DAY_MS * (1 - (first + i + 1) / own)
        const { payload, isLate, type, version } = samples[random(samples.length)]!
        const countedAt = Math.floor(atMs / 1_000) - random(random(2) === 0 ? 7_200 : 34 * 86_400)
        const text = isLate
          ? payload.replace(/"counted_at":\d+/, `"counted_at":${countedAt}`)
          : payload
        return { type, version, payload: text, at: new Date(atMs).toISOString() }
      })
      await insertFlushes(database, shard, first, some)
    }
  }
  const service = await startTestService({ database })
  await service.putCatalog(CATALOG)
  // Until all of it is folded.
  while ((await service.fetch('admin', '/admin/usage')).status !== 200);
  return { service, database }
}
