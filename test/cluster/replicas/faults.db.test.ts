import { afterAll, beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { Reads, type Served } from '../../../src/cluster/replicas/reads.ts'
import {
  openPools,
  type Pools,
  type Sql,
  type Transaction,
} from '../../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { sweepGenerations } from '../../../src/read-model/rebuild/generation.ts'
import { rebuild } from '../../../src/read-model/rebuild/rebuild.ts'
import { isFull } from '../../support/full.ts'
import { TEST_INTERVALS } from '../../support/intervals.ts'
import { TEST_SHARDS } from '../../support/server.ts'
import { type FreezableProxy, startFreezable } from './freezable-proxy.ts'
import { expectLoggedOnce, type ReplicatedService, startReplicated, until } from './replicated.ts'
import { type Servers, startServers } from './servers.ts'

// Whatever happens to a replica, reads are answered, and their answers are correct.

const PATHS = [
  '/admin/apikey-stats/summary',
  '/admin/apikey-stats/summary?consistency=eventual',
  '/admin/api-keys?sort=-total_requests',
  '/admin/usage',
  '/audit/events?shard=all&limit=100',
  '/audit/events/0/0',
  '/audit/explain',
]

const REBUILDS = isFull ? 3 : 1

let servers: Servers
let proxy: FreezableProxy
let one: ReplicatedService
let posted = 0

beforeAll(async () => {
  servers = await startServers(TEST_SHARDS)
  // PostgreSQL resolves a conflict with recovery at once, by cancelling the read.
  await setReplica('max_standby_streaming_delay', '0')
  proxy = await startFreezable(servers.replica.address)
  // On a loaded machine a slow replica must not count as behind.
  const replicas = { ...TEST_INTERVALS.replicas, behindAfterMs: 5_000 }
  one = await startReplicated(servers.primary, [proxy.address], { replicas })
  await one.waitForStates('used')
  for (let i = 0; i < 20; i++) await post()
})
afterAll(async () => {
  await one?.service.end()
  await proxy?.close()
  await servers?.end()
})

async function post(): Promise<void> {
  await one.post()
  posted++
}

/** Milliseconds between two reads. Every action takes longer; without a pause they fill a core. */
const PAUSE_MS = 20

/** Reads and posts continuously while `action` runs; fails if a request is not answered. */
async function whileReading(action: () => Promise<void>): Promise<void> {
  let isOver = false
  const reader = async (first: number) => {
    for (let i = first; !isOver; i++) {
      const path = PATHS[i % PATHS.length]!
      const response = await one.service.fetch('auditor', path)
      expect([path, response.status]).toEqual([path, 200])
      await response.arrayBuffer()
      await Bun.sleep(PAUSE_MS)
    }
  }
  const poster = async () => {
    while (!isOver) {
      await post()
      const least = posted
      expect((await one.readTotal()).total).toBeGreaterThanOrEqual(least)
      await Bun.sleep(PAUSE_MS)
    }
  }
  const busy = Promise.all([reader(0), reader(3), poster()])
  // A failure of one is reported at once, and the others end.
  const acted = action().finally(() => {
    isOver = true
  })
  await Promise.race([busy, acted])
  await Promise.all([busy, acted])
  expect((await one.readTotal()).total).toBe(posted)
}

test('a replica that is killed during reads is taken out of use until it is back', async () => {
  await whileReading(async () => {
    await servers.replica.kill()
    await one.waitForStates('away')
    const ready = await one.service.fetch(null, '/health/ready')
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ready', replicas: ['away'] },
    ])
    await servers.replica.start()
    await one.waitForStates('used')
  })
  expectLoggedOnce(one.logged, 'away')
})

test('a replica that stops answering is taken out of use, and no read hangs', async () => {
  await whileReading(async () => {
    proxy.freeze()
    await one.waitForStates('away')
    proxy.thaw()
    await one.waitForStates('used')
  })
})

test('generations that a rebuild drops on the replica make no read fail', async () => {
  const { pools, owner } = openPrimary()
  try {
    await whileReading(async () => {
      for (let i = 0; i < REBUILDS; i++) await rebuildAll(pools, owner)
    })
  } finally {
    await pools.close()
    await owner.end()
  }
  await one.waitForStates('used')
})

test('a read that recovery cancels is repeated on the primary', async () => {
  const { served, reads, pools, owner } = await openReads()
  try {
    let calls = 0
    let rebuilding = Promise.resolve()
    const total = await reads.read(null, async (sql) => {
      calls++
      if (calls === 1) {
        await sumCounters(sql)
        rebuilding = rebuildAll(pools, owner)
        await sql`select pg_sleep(50)`
      }
      return sumCounters(sql)
    })
    await rebuilding
    expect([calls, total, served]).toEqual([2, posted, ['failed']])
  } finally {
    await close(reads, pools, owner)
  }
})

test('a generation is not dropped between a snapshot that shows it and the read', async () => {
  const { served, reads, pools, owner } = await openReads()
  const replica = servers.replica.connect()
  // Replay now waits for readers, however long they take. Only the drop can conflict with one,
  // because the primary keeps all rows that a snapshot of the replica sees.
  await setReplica('max_standby_streaming_delay', '-1')
  await setReplica('hot_standby_feedback', 'on')
  await until(async () => {
    const rows = await owner`select from pg_stat_replication r where r.backend_xmin is not null`
    return rows.length > 0
  })
  try {
    let calls = 0
    const total = await reads.read(null, async (sql) => {
      calls++
      // The snapshot exists, and no table of a projection has been read yet.
      await sql`select p.generation from projections p`
      await rebuildAll(pools, owner)
      const [end] = await owner<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`
      const isReplayed = async () => {
        const [row] = await replica<{ replayed: boolean }[]>`
          select pg_last_wal_replay_lsn() >= ${end!.lsn}::pg_lsn as replayed`
        return row!.replayed
      }
      // Either the drop waits for this read, or it has been replayed.
      await until(async () => (await isReplayed()) || (await readWait(replica)) !== null)
      expect(await readWait(replica)).toBe('relation')
      return sumCounters(sql)
    })
    expect([calls, total, served]).toEqual([1, posted, ['replica']])
  } finally {
    await setReplica('max_standby_streaming_delay', '0')
    await setReplica('hot_standby_feedback', 'off')
    await replica.end()
    await close(reads, pools, owner)
  }
})

/** Returns what blocks replay on a replica, or null if nothing does. */
async function readWait(replica: Sql): Promise<string | null> {
  const [row] = await replica<{ wait: string | null }[]>`
    select a.wait_event as wait
    from pg_stat_activity a
    where a.backend_type = 'startup'
      and (a.wait_event_type = 'Lock' or a.wait_event like 'RecoveryConflict%')`
  return row?.wait ?? null
}

/** Sets a configuration parameter of the replica. */
async function setReplica(name: string, value: string): Promise<void> {
  await servers.replica.run(`alter system set ${name} = '${value}'`)
  await servers.replica.run('select pg_reload_conf()')
}

async function sumCounters(sql: Sql | Transaction): Promise<number> {
  const [row] = await sql<{ total: string }[]>`
    select sum(c.requests) as total
    from provider_group_counters c
    where c.generation = (
      select p.generation from projections p where p.projection = 'provider_group_counters'
    )`
  return Number(row!.total)
}

function openPrimary(): { pools: Pools; owner: Sql } {
  const pools = openPools(servers.primary.address, TEST_SHARDS)
  return { pools, owner: servers.primary.connect() }
}

async function openReads() {
  const { pools, owner } = openPrimary()
  const served: Served[] = []
  const reads = await Reads.open({
    sql: pools.read,
    replicas: [servers.replica.address],
    intervals: TEST_INTERVALS.replicas,
    logger: pino({ level: 'silent' }),
  })
  reads.onServed = (from) => served.push(from)
  await until(async () => reads.replicas[0]!.state === 'used')
  return { served, reads, pools, owner }
}

async function close(reads: Reads, pools: Pools, owner: Sql): Promise<void> {
  await reads.close()
  await pools.close()
  await owner.end()
}

/** Rebuilds all projections, and drops the old generations. */
async function rebuildAll({ project }: Pools, owner: Sql): Promise<void> {
  const outcome = await rebuild({
    owner,
    project,
    projections: PROJECTIONS,
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  expect(outcome).toHaveProperty('rebuilt')
  await until(() => sweepGenerations(owner))
}
