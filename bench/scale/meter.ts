import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'
import type { Address } from '../server.ts'
import { readChildren, readProcess, readThreadSeconds } from './processes.ts'

/**
 * Deferred work (usage, snapshots, vacuum) is done when a window of `windowMs` writes no more of the
 * write-ahead log than heartbeats do.
 */
const IDLE = { windowMs: 3_000, walBytes: 60_000, tries: 40 }

/** Counters that only grow; the difference of two readings was spent between them. Times in s. */
export type Reading = {
  at: number
  /** All threads of the instances, and their main threads. */
  service: number
  thread: number
  /** Backends that append, other backends, and the other processes of the server. */
  append: number
  project: number
  background: number
  walBytes: number
  fsyncs: number
  fsyncSeconds: number
  /** Rows of counters and usage written. */
  rows: number
}

export type Meter = {
  read(): Promise<Reading>
  /** The newest position of each shard. */
  readHeads(): Promise<number[]>
  /** Counts the commits after these positions; the events of a commit share shard and time. */
  countCommits(heads: number[]): Promise<number>
  /** Resolves when the database only serves idle services, or after IDLE.tries windows. */
  untilIdle(): Promise<void>
  /** Counts the connections of services. */
  countConnections(): Promise<number>
  close(): Promise<void>
}

/** Opens a meter of what instances (by process id) and their database spend. */
export async function openMeter(address: Address, pids: number[]): Promise<Meter> {
  const owner = connectAsOwner(address)
  const [row] = await owner`
    select pg_backend_pid() as own, split_part(pg_read_file('postmaster.pid'), e'\n', 1) as server`
  const ids = { own: Number(row!.own), server: Number(row!.server) }
  return {
    read: async () => ({
      at: performance.now() / 1_000,
      ...(await readServices(pids)),
      ...(await readDatabase(owner, ids)),
      ...(await readCounters(owner)),
    }),
    readHeads: async () => {
      const rows = await owner<{ head: number }[]>`
        select coalesce((
          select max(e.position) from events e where e.shard = s.shard
        ), -1)::float8 as head
        from shards s
        order by s.shard`
      return rows.map(({ head }) => head)
    },
    countCommits: async (heads) => {
      const [counted] = await owner`
        select count(distinct (e.shard, e.recorded_at)) as commits
        from events e
          join unnest(${heads}::bigint[]) with ordinality h(head, ordinal)
            on e.shard = h.ordinal - 1 and e.position > h.head`
      return Number(counted!.commits)
    },
    untilIdle: async () => {
      for (let tries = 0, busy = true; busy && tries < IDLE.tries; tries++) {
        const before = (await readCounters(owner)).walBytes
        await Bun.sleep(IDLE.windowMs)
        const written = (await readCounters(owner)).walBytes - before
        const vacuums = await owner`
          select from pg_stat_activity a where a.backend_type = 'autovacuum worker'`
        busy = written > IDLE.walBytes || vacuums.length > 0
      }
    },
    countConnections: async () => {
      const [counted] = await owner`
        select count(*) as open
        from pg_stat_activity
        where application_name = 'tallybook' and pid <> pg_backend_pid()`
      return Number(counted!.open)
    },
    close: () => owner.end({ timeout: 1 }),
  }
}

async function readServices(pids: number[]) {
  const processes = await Promise.all(pids.map(readProcess))
  const threads = await Promise.all(pids.map(readThreadSeconds))
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
  return { service: sum(processes.map((one) => one?.seconds ?? 0)), thread: sum(threads) }
}

/** A backend that ends between two readings counts as another process of the server. */
async function readDatabase(owner: Sql, { own, server }: { own: number; server: number }) {
  const backends = await owner<{ pid: number; appends: boolean }[]>`
    select a.pid, a.query like '%append_batch(%' as appends
    from pg_stat_activity a
    where a.backend_type = 'client backend' and a.pid <> ${own}`
  const appends = new Map(backends.map(({ pid, appends }) => [pid, appends]))
  const seconds = { append: 0, project: 0, background: 0 }
  const parent = await readProcess(server)
  seconds.background += (parent?.seconds ?? 0) + (parent?.endedSeconds ?? 0)
  for (const child of await readChildren(server)) {
    if (child.pid === own) continue
    const isAppend = appends.get(child.pid)
    const kind = isAppend === undefined ? 'background' : isAppend ? 'append' : 'project'
    seconds[kind] += child.seconds
  }
  return seconds
}

async function readCounters(owner: Sql) {
  const [row] = await owner`
    select
      (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 as wal_bytes,
      (select coalesce(sum(fsyncs), 0)::float8 from pg_stat_io where object = 'wal') as fsyncs,
      (
        select coalesce(sum(fsync_time), 0)::float8 / 1000 from pg_stat_io where object = 'wal'
      ) as fsync_seconds,
      (
        select coalesce(sum(n_tup_ins + n_tup_upd), 0)::float8
        from pg_stat_user_tables
        where relname ~ 'counters|usage'
      ) as rows`
  return {
    walBytes: row!.wal_bytes as number,
    fsyncs: row!.fsyncs as number,
    fsyncSeconds: row!.fsync_seconds as number,
    rows: row!.rows as number,
  }
}
