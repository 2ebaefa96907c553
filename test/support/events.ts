import type postgres from 'postgres'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { TEST_SHARDS, type TestDatabase } from './server.ts'

/** What events that a test appends by hand consist of; all of it may be left out. */
type TestEvents = {
  shard?: number
  type?: string
  version?: number
  /** RFC 3339, a time each or the same for all; otherwise the clock, never before the last event. */
  recordedAt?: string | readonly string[]
  /** The token that posted it, by name; `owner` if absent. */
  source?: string
  /** Gives each event an idempotency key, `key-<position>`. */
  keyed?: boolean
}

/** Appends one event by hand, as only the owner could. Returns its position. */
export async function insertEvent(
  owner: postgres.Sql,
  { payload = EMPTY_FLUSH, ...event }: TestEvents & { payload?: string },
): Promise<number> {
  return insertEvents(owner, [payload], event)
}

/** Appends an event for each payload by one statement. Returns the position of the first. */
export async function insertEvents(
  owner: postgres.Sql,
  payloads: readonly string[],
  {
    shard = 0,
    type = 'KeyStatsFlushed',
    version = 1,
    recordedAt,
    source = 'owner',
    keyed = false,
  }: TestEvents = {},
): Promise<number> {
  const times = payloads.map((_, i) =>
    typeof recordedAt === 'string' ? recordedAt : (recordedAt?.[i] ?? null),
  )
  // No CTE: on Citus an insert is joined to rows of its shard.
  const rows = await owner<{ position: string }[]>`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      ${shard}::integer, last.position + p.number, ${type}, ${version}::smallint,
      coalesce(p.recorded_at::timestamptz, last.recorded_at, clock_timestamp()),
      ${source}, case when ${keyed} then 'key-' || last.position + p.number end, p.payload::json,
      sha256(convert_to(p.payload, 'UTF8'))
    from (
        select coalesce(max(e.position), -1) as position, max(e.recorded_at) as recorded_at
        from events e
        where e.shard = ${shard}
      ) last
      cross join unnest(${payloads as string[]}::text[], ${times}::text[])
        with ordinality p(payload, recorded_at, number)
    returning position`
  return rows.reduce((first, { position }) => Math.min(first, Number(position)), Infinity)
}

/** Puts an empty flush at a position, whatever is before it. */
export async function insertEventAt(
  owner: postgres.Sql,
  shard: number,
  position: number,
  source = 'owner',
): Promise<void> {
  await owner`
    insert into events (
      shard, position, type, version, recorded_at, source, payload, payload_sha256
    ) values (
      ${shard}, ${position}, 'KeyStatsFlushed', 1, clock_timestamp(), ${source}, ${EMPTY_FLUSH},
      sha256(convert_to(${EMPTY_FLUSH}, 'UTF8'))
    )`
}

/** Appends empty flushes of token keys, as if the token `dp` had posted them. */
export async function insertEmptyFlushes(
  owner: postgres.Sql,
  shard: number,
  count: number,
): Promise<void> {
  await insertEvents(owner, Array<string>(count).fill(EMPTY_FLUSH), { shard, source: 'dp' })
}

/** Appends flushes of one API key each to shard 0, with idempotency keys. */
export async function insertFlushes(owner: postgres.Sql, count: number): Promise<void> {
  const payloads = Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      groups: [1],
      counts: [1],
      ids: [1 + (i % 50)],
      requests: [i % 7],
      failing: [],
      failures: [],
    }),
  )
  await insertEvents(owner, payloads, { type: 'ApiKeyStatsFlushed', version: 2, keyed: true })
}

/** What only the owner of a database can do: changes what nothing may change. */
export async function editLog(
  owner: postgres.Sql,
  edit: (sql: postgres.Sql) => Promise<unknown>,
): Promise<void> {
  await owner`alter table events disable trigger user`
  await owner`alter table tiles disable trigger user`
  await edit(owner)
  await owner`alter table events enable trigger user`
  await owner`alter table tiles enable trigger user`
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
