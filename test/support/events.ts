import type postgres from 'postgres'
import { connectAsOwner } from '../../src/db/pool.ts'
import { hashPayload } from '../../src/events/event.ts'
import { TEST_SHARDS, type TestDatabase } from './server.ts'

/** Appends an event by hand, as only the owner could; gives its position. */
export async function insertEvent(
  owner: postgres.Sql,
  event: {
    shard?: number
    type?: string
    version?: number
    payload?: string
    recordedAt?: string
  },
): Promise<number> {
  const { shard = 0, type = 'KeyStatsFlushed', version = 1, payload = EMPTY_FLUSH } = event
  const [row] = await owner`
    insert into events (shard, position, type, version, recorded_at, source, payload, payload_sha256)
    select
      ${shard}::integer, coalesce(max(e.position), -1) + 1, ${type}, ${version}::smallint,
      coalesce(${event.recordedAt ?? null}::text::timestamptz, max(e.recorded_at), clock_timestamp()),
      'owner', ${payload}::text::json, decode(${hashPayload(payload)}, 'hex')
    from events e
    where e.shard = ${shard}
    returning position`
  return Number(row!.position)
}

/** The positions of a shard's events, in order; or of all shards, one after the other. */
export async function readPositions(owner: postgres.Sql, shard?: number): Promise<number[]> {
  const rows = await owner<{ position: string }[]>`
    select e.position
    from events e
    where e.shard = ${shard ?? null}::integer or ${shard === undefined}
    order by e.shard, e.position`
  return rows.map(({ position }) => Number(position))
}

/** The number of flushes in the log, over all shards. */
export async function countFlushes(owner: postgres.Sql): Promise<number> {
  const [row] = await owner<{ count: number }[]>`
    select count(*)::integer as count from events where type <> 'CatalogChanged'`
  return row!.count
}

/** `0/41` of an answer's Tallybook-Position. */
export function positionOf(response: Response): string {
  const position = response.headers.get('tallybook-position')
  if (position === null) throw new Error(`no position: ${response.status}`)
  return position
}

const ALL_SHARDS = Array.from({ length: TEST_SHARDS }, (_, shard) => shard)

/** Holds the rows of `shards` locked, as a stranger might, until released. */
export async function lockShards(
  { address }: TestDatabase,
  shards = ALL_SHARDS,
): Promise<{ release(): Promise<void> }> {
  const stranger = connectAsOwner(address)
  const connection = await stranger.reserve()
  await connection`begin`
  await lockRows(connection, 'shards', shards)
  return {
    release: async () => {
      await connection`rollback`
      connection.release()
      await stranger.end()
    },
  }
}

/** Locks all rows of a table that is spread: a statement a shard, which Citus wants. */
export async function lockRows(
  connection: postgres.ReservedSql,
  table: string,
  shards = ALL_SHARDS,
): Promise<void> {
  for (const shard of shards) {
    await connection`select 1 from ${connection(table)} where shard = ${shard} for update`
  }
}

/** Milliseconds: whoever doesn't wait by then has failed. */
const PATIENCE_MS = 60_000

/** Returns when this many connections wait for a lock; gives their process ids. */
export async function untilWaiting(owner: postgres.Sql, count: number): Promise<number[]> {
  // On Citus it is a worker that waits, for a connection of the coordinator.
  const distributed = await owner`select from pg_extension where extname = 'citus'`
  const waiting =
    distributed.length === 0
      ? `select pid from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`
      : `select distinct citus_pid_for_gpid(global_pid) as pid from citus_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; ) {
    const rows = await owner.unsafe<{ pid: number }[]>(waiting)
    if (rows.length >= count) return rows.map(({ pid }) => pid)
    await Bun.sleep(5)
  }
  throw new Error('nobody waits for a lock')
}

const EMPTY_FLUSH =
  '{"hashes":[],"requests":[],"tokens":[],"last_accessed_at":[],"quota_tracked":[]}'
