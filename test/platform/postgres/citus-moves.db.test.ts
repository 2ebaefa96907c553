import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { moveSlice, readLayout } from '../../../src/platform/postgres/citus/rebalance.ts'
import { connectAsOwner, SERVICE_ROLE, type Sql } from '../../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import { citusNodes, urlOf } from '../../support/citus.ts'
import { countFlushes, insertEmptyFlushes, readPositions } from '../../support/events.ts'
import { keyOfShard } from '../../support/keys.ts'
import { type TestDatabase, useDatabase, usePools } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { until } from '../../support/until.ts'

// While a Citus shard moves, a function that started on its old worker may end on its new one. A
// lock that another session holds on the old worker stops it between the two.

const FLUSH = '/internal/apikey-stats/flush'

/** Returns the slice of a shard, its worker, and another worker to move it to. */
async function findMove(owner: Sql, shard: number) {
  const { workers, slices } = await readLayout(owner)
  const slice = slices.find(({ shards }) => shards.includes(shard))!
  const from = workers.find(({ name }) => name === slice.worker)!
  const to = workers.find(({ name, takes }) => takes && name !== slice.worker)!
  return { slice, from, to }
}

/** Connects to the part of a database that is on the node with this port. */
function connectTo({ address }: TestDatabase, port: number): Sql {
  const node = citusNodes().find((other) => other.port === port)!
  const name = new URL((address as { url: string }).url).pathname.slice(1)
  return connectAsOwner({ url: urlOf(node.url, name) })
}

/** Makes statements on workers wait for a lock for as long as a move takes on a busy machine. */
async function waitLonger(database: TestDatabase): Promise<void> {
  for (const { port } of citusNodes()) {
    const owner = connectTo(database, port)
    const [row] = await owner<{ name: string }[]>`select current_database() as name`
    await owner.unsafe(`
      alter role ${SERVICE_ROLE} in database ${row!.name} set lock_timeout = '30s'`)
    await owner.end()
  }
}

/**
 * Locks a shard's rows of a table on its worker until `release`. `move` moves the shard without
 * waiting for the sessions that wait there.
 */
async function holdOnWorker(database: TestDatabase, table: string, shard: number) {
  const { owner } = database
  const { slice, from, to } = await findMove(owner, shard)
  const [row] = await owner<{ id: string }[]>`
    select get_shard_id_for_distribution_column(${table}, ${shard}::integer)::text as id`
  const blocker = connectTo(database, from.port)
  await blocker`begin`
  await blocker.unsafe(`select from ${table}_${row!.id} where shard = ${shard} for update`)
  return {
    untilWaiting: () =>
      until(async () => {
        const rows = await blocker`
          select from pg_locks l
          where not l.granted and l.locktype in ('transactionid', 'tuple')`
        return rows.length > 0
      }),
    move: () => owner`
      select citus_move_shard_placement(
        ${slice.id}::bigint, ${from.host}, ${from.port}::integer, ${to.host}, ${to.port}::integer,
        'block_writes'
      )`,
    release: async () => {
      await blocker`rollback`
      await blocker.end()
    },
  }
}

describe.skipIf(citusNodes().length !== 3)('flushes on Citus', () => {
  const database = useDatabase()
  let one: TestService
  let other: TestService
  const shards = () => one.shards
  beforeAll(async () => {
    await waitLonger(database)
    one = await startTestService({ database })
    other = await startTestService({ database })
  })
  afterAll(async () => {
    await other?.stop()
    await one?.stop()
  })

  test('to a shard that moves are all accepted and counted once', async () => {
    const { owner } = database
    await one.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
    let isMoving = true
    let accepted = 0
    const client = async (number: number) => {
      const service = number % 2 === 0 ? one : other
      while (isMoving) {
        const shard = number % 3 === 0 ? number % shards() : 0
        const headers = { 'idempotency-key': keyOfShard(shard, shards(), `${number}-${accepted}`) }
        const keys = [{ api_key_id: 1, requests: 1 }]
        const answer = await service.post(FLUSH, { keys }, headers)
        expect(answer.status).toBe(200)
        accepted++
      }
    }
    const clients = Array.from({ length: 12 }, (_, i) => client(i))
    for (let i = 0; i < 3; i++) await moveSlice(owner, await findMove(owner, 0))
    isMoving = false
    await Promise.all(clients)
    const { total_requests } = await one.read<{ total_requests: number }>(
      '/admin/apikey-stats/summary',
    )
    expect(total_requests).toBe(accepted)
    for (let shard = 0; shard < shards(); shard++) {
      const positions = await readPositions(owner, shard)
      expect(positions).toEqual(positions.map((_, i) => i))
    }
    expect(await countFlushes(owner)).toBe(accepted)
    await until(async () => (await countLeaves(owner)) === accepted + 1)
  })

  test('are attributed with the catalog of the worker that inserts them', async () => {
    await one.putCatalog({
      provider_groups: [{ id: 2 }, { id: 3 }],
      api_keys: [{ id: 2, group_id: 2 }],
    })
    const held = await holdOnWorker(database, 'shards', 1)
    const headers = { 'idempotency-key': keyOfShard(1, shards(), 'resolved') }
    const posted = one.post(FLUSH, { keys: [{ api_key_id: 2, requests: 1 }] }, headers)
    await held.untilWaiting()
    await held.move()
    const changed = await other.putCatalog({ api_keys: [{ id: 2, group_id: 3 }] })
    expect(changed.status).toBe(200)
    await held.release()
    expect((await posted).status).toBe(200)
    const totalOf = async (id: number) =>
      (await one.read<{ total_requests: number }>(`/admin/provider-groups/${id}`)).total_requests
    expect([await totalOf(2), await totalOf(3)]).toEqual([0, 1])
  })
})

describe.skipIf(citusNodes().length !== 3)('leaves on Citus', () => {
  const database = useDatabase()
  const pools = usePools(database)

  test('of a shard that moves are added once', async () => {
    const { owner } = database
    await waitLonger(database)
    await insertEmptyFlushes(owner, 1, 10)
    expect(await integrateEvents(pools.project, 1)).toBe(10)
    await insertEmptyFlushes(owner, 1, 10)
    const held = await holdOnWorker(database, 'tiles', 1)
    const late = integrateEvents(pools.project, 1).catch((error) => error.code)
    await held.untilWaiting()
    await held.move()
    expect(await integrateEvents(pools.project, 1)).toBe(10)
    await held.release()
    expect([0, '40001']).toContain(await late)
    expect(await countLeaves(owner)).toBe(20)
  })
})

async function countLeaves(owner: Sql): Promise<number> {
  const [row] = await owner<{ leaves: number }[]>`
    select (sum(octet_length(t.hashes)) / 32)::integer as leaves from tiles t where t.level = 0`
  return row!.leaves
}
