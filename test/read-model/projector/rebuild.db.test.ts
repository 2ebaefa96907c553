import { afterAll, beforeAll, expect, test } from 'bun:test'
import {
  connectAsOwner,
  openPools,
  type Pools,
  type Sql,
} from '../../../src/platform/postgres/pool.ts'
import { CURRENT, PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import type { Projection } from '../../../src/read-model/projections/projection.ts'
import { snapshots } from '../../../src/read-model/projections/snapshots.ts'
import { currentGroup } from '../../../src/read-model/projector/projection-groups.ts'
import { CheckpointMoved, ShardFold } from '../../../src/read-model/projector/shard-fold.ts'
import {
  abandonGenerations,
  beginGenerations,
  type Generation,
  sweepGenerations,
} from '../../../src/read-model/rebuild/generation.ts'
import { rebuild } from '../../../src/read-model/rebuild/rebuild.ts'
import { readRebuilds } from '../../../src/read-model/rebuild/record.ts'
import { replaceLive } from '../../../src/read-model/rebuild/replace.ts'
import { checkpointsOf, foldOnce } from '../../support/fold.ts'
import { expectTidy, readLive, readLiveGenerations } from '../../support/generations.ts'
import { TEST_SHARDS } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// A rebuild folds the log from scratch alongside the live rows, reports differences, and is
// invisible to readers.

let service: TestService
let pools: Pools
let owner: Sql

beforeAll(async () => {
  service = await startTestService()
  pools = openPools(service.database.address, TEST_SHARDS)
  owner = connectAsOwner(service.database.address)
  await service.putCatalog({
    provider_groups: [{ id: 1, name: 'one' }, { id: 2 }, { id: 3 }],
    api_keys: [1, 2, 3, 4, 5].map((id) => ({ id, group_id: id % 4 })),
    keys: [{ token_hash: 'a', quota_limit: 5 }, { token_hash: 'b' }],
  })
  await postSome(40)
  await service.fetch('admin', '/admin/provider-groups/3', { method: 'DELETE' })
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await foldOnce(pools.project, shard, await checkpointsOf(pools.project, shard, [snapshots]), [
      snapshots,
    ])
  }
  await postSome(10)
})
afterAll(async () => {
  await pools.close()
  await owner.end()
  await service.end()
})

async function postSome(flushes: number): Promise<void> {
  for (let i = 0; i < flushes; i++) {
    await service.post('/internal/apikey-stats/flush', {
      keys: [1, 2, 3, 4, 5, 6].map((id) => ({ api_key_id: id, requests: id + i })),
    })
    await service.post('/internal/stats/flush', {
      keys: ['a', 'b', 'c'].map((hash) => ({ token_hash: hash, requests: 1, tokens: i })),
    })
  }
}

const run = (
  projections: readonly Projection[] = PROJECTIONS,
  signal = new AbortController().signal,
) =>
  rebuild({
    ...{ owner, project: pools.project, projections, signal },
    onProgress: () => {},
  })

async function rebuilt(projections: readonly Projection[] = PROJECTIONS) {
  const outcome = await run(projections)
  if ('underWay' in outcome) throw new Error('under way')
  return outcome.rebuilt
}

test('rebuilt rows equal the live ones, row by row, and the old rows are gone', async () => {
  const before = await readLive(service, owner)
  const generations = await readLiveGenerations(owner)
  const outcome = await rebuilt()
  expect(outcome.map(({ projection }) => projection).sort()).toEqual(
    PROJECTIONS.map(({ name }) => name).sort(),
  )
  for (const { projection, generation, differences } of outcome) {
    expect([projection, differences]).toEqual([projection, { rows: 0, first: [] }])
    expect(generation).toBe(generations[projection]! + 1)
  }
  expect(await readLive(service, owner)).toEqual(before)
  await expectTidy(owner)
})

test('each row that was tampered with is reported, and is right after the rebuild', async () => {
  const before = await readLive(service, owner)
  await owner`
    update api_key_counters set requests = requests + 1
    where api_key_id = 2
      and shard = (select min(c.shard) from api_key_counters c where c.api_key_id = 2)`
  await owner`
    delete from key_counters
    where token_hash = 'a'
      and shard = (select min(c.shard) from key_counters c where c.token_hash = 'a')`
  await owner`
    insert into provider_group_counters (shard, generation, provider_group_id, requests, successes)
    select 0, generation, 77, 5, 4 from projections where projection = 'provider_group_counters'`
  await owner`update api_keys set name = 'someone' where id = 3`
  await owner`update api_key_versions set group_id = 2 where id = 4`
  await owner`
    update api_key_usage set successes = 1
    where api_key_id = 5
      and (shard, quarter) = (
        select u.shard, u.quarter from api_key_usage u where u.api_key_id = 5 order by 1, 2 limit 1
      )`
  await owner`
    update api_key_snapshots set requests[1] = requests[1] + 1
    where shard = 0 and cardinality(ids) > 0`
  const tampered = await readLive(service, owner)
  expect(tampered).not.toEqual(before)

  const drift = (await rebuilt()).flatMap(({ differences }) => differences!.first)
  const found = drift.map(({ table, key, live, rebuilt }) => ({
    ...{ table, id: key.api_key_id ?? key.token_hash ?? key.provider_group_id ?? key.id ?? null },
    is: live === null ? 'missing' : rebuilt === null ? 'too many' : 'different',
  }))
  const byTable = (a: { table: string }, b: { table: string }) => (a.table < b.table ? -1 : 1)
  expect(found.sort(byTable)).toEqual([
    { table: 'api_key_counters', id: '2', is: 'different' },
    { table: 'api_key_snapshots', id: null, is: 'different' },
    { table: 'api_key_usage', id: '5', is: 'different' },
    { table: 'api_key_versions', id: '4', is: 'different' },
    { table: 'api_keys', id: '3', is: 'different' },
    { table: 'key_counters', id: 'a', is: 'missing' },
    { table: 'provider_group_counters', id: '77', is: 'too many' },
  ])
  const counter = drift.find(({ table }) => table === 'api_key_counters')!
  expect(BigInt(counter.live!.requests!)).toBe(BigInt(counter.rebuilt!.requests!) + 1n)
  expect(await readLive(service, owner)).toEqual(before)
  const rebuilds = await readRebuilds(owner)
  expect(rebuilds.map(({ state }) => state)).toEqual(PROJECTIONS.map(() => 'live' as const))
  const [log] = await owner<{ events: number }[]>`select count(*)::integer as events from events`
  for (const { projection, eventsFolded, eventsTotal } of rebuilds) {
    if (projection === 'snapshots') continue
    expect([projection, eventsFolded, eventsTotal]).toEqual([projection, log!.events, log!.events])
  }
  expect(rebuilds.reduce((sum, { driftedRows }) => sum + driftedRows!, 0)).toBe(7)
  expect(rebuilds.flatMap(({ drift }) => drift)).toHaveLength(7)
})

test('one projection can be rebuilt alone', async () => {
  const generations = await readLiveGenerations(owner)
  await rebuilt(PROJECTIONS.filter(({ name }) => name === 'usage'))
  expect(await readLiveGenerations(owner)).toEqual({
    ...generations,
    usage: generations.usage! + 1,
  })
  await expectTidy(owner)
})

test('rows made by another version of the code are rebuilt and not compared', async () => {
  const before = await readLive(service, owner)
  await owner`update projections set version = version - 1`
  for (const { differences } of await rebuilt()) expect(differences).toBeNull()
  const after = await readLive(service, owner)
  // Snapshots may be at other positions.
  const rest = (rows: Record<string, unknown[]>) =>
    Object.fromEntries(Object.entries(rows).filter(([table]) => !table.endsWith('_snapshots')))
  expect(rest(after)).toEqual(rest(before))
  const versions = await owner<{ projection: string; version: number }[]>`
    select projection, version from projections`
  for (const { name, version } of PROJECTIONS) {
    expect(versions.find(({ projection }) => projection === name)!.version).toBe(version)
  }
})

test('a rebuild interrupted anywhere leaves the live rows, and nothing else', async () => {
  const before = await readLive(service, owner)
  const generations = await readLiveGenerations(owner)
  for (let stop = 1; stop <= 8; stop++) {
    const controller = new AbortController()
    let steps = 0
    const outcome = rebuild({
      ...{ owner, project: pools.project, signal: controller.signal },
      projections: PROJECTIONS.slice(0, 1),
      onProgress: () => {
        if (++steps === stop) controller.abort(new Error('stop'))
      },
    })
    const ended = await outcome.then(
      () => 'done',
      (error: Error) => error.message,
    )
    if (ended === 'done') break
    expect(ended).toBe('stop')
    expect(await readLiveGenerations(owner)).toEqual(generations)
    await expectTidy(owner)
  }
  expect(await readLive(service, owner)).toEqual(before)
})

test('of two concurrent rebuilds one reports that the other is under way', async () => {
  for (;;) {
    const outcomes = await Promise.all([run(), runWithOwnConnections()])
    const refused = outcomes.find((outcome) => 'underWay' in outcome)
    // One may have begun after the other had ended.
    if (!refused) continue
    expect(outcomes.filter((outcome) => 'rebuilt' in outcome)).toHaveLength(1)
    // Some projections may have gone live by then.
    expect(refused.underWay.length).toBeGreaterThan(0)
    break
  }
  await expectTidy(owner)
})

test('a rebuild that begins while others sweep is not considered dead', async () => {
  const others = Array.from({ length: 3 }, () => connectAsOwner(service.database.address))
  let isOver = false
  const sweeping = others.map(async (other) => {
    while (!isOver) await sweepGenerations(other)
    await other.end()
  })
  const states: (string | undefined)[] = []
  for (let i = 0; i < 40; i++) {
    const begun = (await beginGenerations(owner, PROJECTIONS.slice(0, 1))) as Generation[]
    states.push((await readRebuilds(owner))[0]?.state)
    await abandonGenerations(owner, begun, 'it is a test')
  }
  isOver = true
  await Promise.all(sweeping)
  // Drops what one sweep couldn't while another was under way.
  while (!(await sweepGenerations(owner))) await Bun.sleep(50)
  expect(states).toEqual(states.map(() => 'folding'))
  await expectTidy(owner)
})

async function runWithOwnConnections() {
  const other = openPools(service.database.address, TEST_SHARDS)
  const otherOwner = connectAsOwner(service.database.address)
  try {
    return await rebuild({
      ...{ owner: otherOwner, project: other.project },
      ...{ projections: PROJECTIONS, signal: new AbortController().signal, onProgress: () => {} },
    })
  } finally {
    await other.close()
    await otherOwner.end()
  }
}

test("a rebuild without heartbeats is removed by the next one and can't continue", async () => {
  const projections = PROJECTIONS.slice(0, 1)
  const [silent] = (await beginGenerations(owner, projections)) as Generation[]
  const fold = new ShardFold(pools.project, 0, { ...currentGroup(), projections }, [
    { projection: silent!.projection.name, generation: silent!.generation, position: -1 },
  ])
  const { signal } = new AbortController()
  await fold.foldUntil(3, () => {}, signal)
  expect(await run(projections)).toEqual({ underWay: ['api_key_counters'] })

  await owner`update rebuilds set seen_at = now() - interval '1 hour' where finished_at is null`
  expect((await readRebuilds(owner))[0]!.state).toBe('killed')
  const generations = await readLiveGenerations(owner)
  const [next] = await rebuilt(projections)
  expect(next).toMatchObject({ generation: silent!.generation + 1, differences: { rows: 0 } })
  await expectTidy(owner)

  await expect(fold.foldUntil(6, () => {}, signal)).rejects.toThrow(CheckpointMoved)
  await expect(replaceLive(owner, [silent!], [fold], () => {}, signal)).rejects.toThrow(
    CheckpointMoved,
  )
  expect(await readLiveGenerations(owner)).toEqual({
    ...generations,
    api_key_counters: next!.generation,
  })
  await expectTidy(owner)
})

test('rows made by newer code are left to it and are still read', async () => {
  await owner`update projections set version = version + 1 where projection = 'api_key_counters'`
  const projects = CURRENT
  const before = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  await service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 1, requests: 1 }] })
  const read = service.read<{ total_requests: number }>('/admin/api-keys/1')
  // This test folds in place of the newer code.
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await foldOnce(
      pools.project,
      shard,
      await checkpointsOf(pools.project, shard, projects),
      projects,
    )
  }
  expect((await read).total_requests).toBe(before.total_requests + 1)
  await owner`update projections set version = version - 1 where projection = 'api_key_counters'`
})
