import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openPools, type Pools, type Sql } from '../../../src/platform/postgres/pool.ts'
import { snapshots } from '../../../src/read-model/projections/snapshots.ts'
import { snapshotGroup } from '../../../src/read-model/projector/projection-groups.ts'
import { ShardFold } from '../../../src/read-model/projector/shard-fold.ts'
import { SPACING, thinSnapshots } from '../../../src/read-model/projector/thin-snapshots.ts'
import {
  abandonGenerations,
  beginGenerations,
  type Generation,
} from '../../../src/read-model/rebuild/generation.ts'
import { catchUp, compareGenerations } from '../../../src/read-model/rebuild/replace.ts'
import { verify } from '../../proofs/integrity/history.ts'
import { checkpointsOf, foldOnce } from '../../support/fold.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Snapshots thin out with age, no two are ever too far apart, and no read of the past notices.

/** As in production, for logs that are a quarter as long. */
const SHORT = { ...SPACING, ageFactor: SPACING.ageFactor / 4 }

/** Removes as many as it may: all but the newest, if each event counts one request. */
const SPARSE = { ageFactor: 1, maxCost: 1_000_000_000, maxEvents: 12 }

const TABLES = snapshots.tables.map(({ name }) => name)

let service: TestService
let pools: Pools

beforeAll(async () => {
  service = await startTestService()
  pools = openPools(service.database.address, TEST_SHARDS)
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }],
    measures: [{ name: 'input_tokens' }],
  })
})
afterAll(async () => {
  await pools.close()
  await service.end()
})

async function takeSnapshots(): Promise<void> {
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    const checkpoints = await checkpointsOf(pools.project, shard, [snapshots])
    await foldOnce(pools.project, shard, checkpoints, [snapshots])
  }
}

const readGeneration = async (sql: Sql): Promise<number> => {
  const [row] = await sql<{ generation: number }[]>`
    select generation from projections where projection = 'snapshots'`
  return row!.generation
}

async function thinAll(spacing = SPARSE): Promise<number> {
  const generation = await readGeneration(service.database.owner)
  let removed = 0
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    for (let some = 1; some > 0; removed += some) {
      some = await thinSnapshots(pools.project, shard, generation, spacing)
    }
  }
  return removed
}

type Read = { position: string; body: string }

async function read(asOf: string | null): Promise<Read> {
  const query = asOf === null ? '' : `&as_of_position=${asOf}`
  const response = await service.fetch('admin', `/admin/api-keys?limit=10${query}`)
  expect(response.status).toBe(200)
  return { position: response.headers.get('tallybook-position')!, body: await response.text() }
}

async function post(flushes: number): Promise<Read[]> {
  const reads: Read[] = []
  for (let i = 0; i < flushes; i++) {
    await service.post('/internal/apikey-stats/flush', {
      keys: [{ api_key_id: 1, requests: 1 + i, measures: { input_tokens: i } }],
    })
    reads.push(await read(null))
    await takeSnapshots()
  }
  return reads
}

test('reads as of every position are the same after most snapshots were removed', async () => {
  const reads = await post(20 * TEST_SHARDS)
  expect(await thinAll()).toBeGreaterThan(20)
  for (const one of reads) expect(await read(one.position)).toEqual(one)
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})

test('a rebuild that has folded the same snapshots, before they were removed, compares equal', async () => {
  await post(10 * TEST_SHARDS)
  const { owner } = service.database
  const { signal } = new AbortController()
  const [made] = (await beginGenerations(owner, [snapshots])) as [Generation]
  const folds = Array.from({ length: TEST_SHARDS }, (_, shard) => {
    const checkpoint = { projection: 'snapshots', generation: made.generation, position: -1 }
    return new ShardFold(pools.project, shard, snapshotGroup(shard), [checkpoint])
  })
  await catchUp(owner, [made], folds, () => {}, signal)
  expect(await thinAll()).toBeGreaterThan(5)
  const found = await compareGenerations(pools.project, [made], folds, () => {}, signal)
  expect(found).toEqual([{ rows: 0, first: [] }])
  await abandonGenerations(owner, [made], 'it is a test')
})

test('snapshots of an older release, which stored no cost, are removed like others', async () => {
  await post(10 * TEST_SHARDS)
  const { owner } = service.database
  await owner`
    update provider_group_snapshots set cost = null
    where position % 3 = 1 or position = (select max(position) from provider_group_snapshots)`
  const reads = await post(10 * TEST_SHARDS)
  const costs = await owner<{ cost: string }[]>`
    select cost from provider_group_snapshots
    where shard = 0 and first_id = 0 and cost is not null
    order by position`
  const values = costs.map(({ cost }) => Number(cost))
  expect(values).toEqual(values.toSorted((a, b) => a - b))
  expect(await thinAll()).toBeGreaterThan(15)
  for (const one of reads) expect(await read(one.position)).toEqual(one)
})

/** A database with this many snapshots in shard 0, which hold nothing. */
async function fill(database: TestDatabase, count: number, events: number): Promise<void> {
  const { owner } = database
  await owner`insert into projections (projection, generation, version) values ('snapshots', 1, 1)`
  await owner`
    insert into checkpoints (shard, projection, generation, position)
    values (0, 'snapshots', 1, ${count * events})`
  await owner`
    insert into provider_group_snapshots
      (shard, generation, position, first_id, last_id, ids, requests, successes, cost)
    select 0, 1, n * ${events}::bigint, 0, 0, '{}', '{}', '{}', n * 200000::bigint
    from generate_series(1, ${count}::integer) n`
  for (const [table, first, last, accounts, values] of [
    ['api_key_snapshots', 'first_id', 'last_id', 'ids', ['requests', 'successes']],
    [
      ...(['key_snapshots', 'first_hash', 'last_hash', 'token_hashes'] as const),
      ['requests', 'tokens', 'quota_used', 'last_accessed_at'],
    ],
  ] as const) {
    const none = table === 'key_snapshots' ? "''" : '0'
    await owner.unsafe(
      `insert into ${table} (shard, generation, position, ${first}, ${last}, ${accounts},
         ${values.join(', ')})
       select shard, generation, position, ${none}, ${none}, '{}', ${values.map(() => "'{}'")}
       from provider_group_snapshots`,
    )
  }
}

async function readPositions({ owner }: TestDatabase, table: string): Promise<number[]> {
  const rows = await owner<{ position: string }[]>`
    select distinct position from ${owner(table)} order by position`
  return rows.map(({ position }) => Number(position))
}

/** The number kept of so many that are `events` apart, after two processes have thinned them. */
async function countKept(count: number, events: number): Promise<number> {
  const database = await createDatabase({ shards: 1 })
  try {
    await fill(database, count, events)
    const { owner } = database
    for (let removed = 1; removed > 0; ) {
      const both = await Promise.all([
        thinSnapshots(owner, 0, 1, SHORT),
        thinSnapshots(owner, 0, 1, SHORT),
      ])
      removed = both[0] + both[1]
    }
    const kept = await readPositions(database, 'provider_group_snapshots')
    for (const table of TABLES.filter((name) => !name.includes('measure')))
      expect([table, await readPositions(database, table)]).toEqual([table, kept])
    const all = Array.from({ length: 1_024 }, (_, i) => (count - i) * events)
    expect(kept.slice(-1_024)).toEqual(all.reverse())
    for (const [i, position] of kept.entries()) {
      const gap = (position - (kept[i - 1] ?? 0)) / events
      const age = count - position / events
      expect(gap <= 1 || gap * 200_000 <= SHORT.maxCost).toBe(true)
      expect(gap <= 1 || gap <= age / SHORT.ageFactor + 1).toBe(true)
      expect(gap * events).toBeLessThanOrEqual(SHORT.maxEvents)
    }
    return kept.length
  } finally {
    await database.drop()
  }
}

test('the number of snapshots grows with the logarithm of the log', async () => {
  const kept = await countKept(2_500, 1_000)
  expect(kept).toBeLessThan(2_000)
  expect((await countKept(5_000, 1_000)) - kept).toBeLessThan(600)
  expect((await countKept(10_000, 1_000)) - kept).toBeLessThan(1_200)
})

test('snapshots with more events between them than a read may fold stay', async () => {
  expect(await countKept(3_000, 250_000)).toBe(3_000)
})

test('the costs of snapshots of an older release are estimated', async () => {
  const database = await createDatabase({ shards: 1 })
  try {
    const { owner } = database
    await fill(database, 6, 1_000)
    // A first page and 40 others in the newest: some 40,000 keys.
    await owner`
      insert into api_key_snapshots
        (shard, generation, position, first_id, last_id, ids, requests, successes)
      select 0, 1, 6000, id, id, '{}', '{}', '{}' from generate_series(1, 40) id`
    await owner`update provider_group_snapshots set cost = null where position < 4000`
    await owner`update provider_group_snapshots set cost = null where position = 5000`
    expect(await thinSnapshots(owner, 0, 1)).toBe(0)
    const rows = await owner<{ cost: string | null }[]>`
      select cost from provider_group_snapshots order by position, first_id`
    const [each, known] = [2_560_000, 800_000]
    expect(rows.map(({ cost }) => Number(cost))).toEqual([
      ...[known - 3 * each, known - 2 * each, known - each],
      ...[known, known, 1_200_000],
    ])
  } finally {
    await database.drop()
  }
})
