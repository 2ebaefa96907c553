import type postgres from 'postgres'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { TEST_SHARDS, type TestDatabase } from './server.ts'

/** Properties of events that a test inserts directly; all are optional. */
type TestEvents = {
  shard?: number
  type?: string
  /** One for all or one each; 1 by default. */
  version?: number | readonly number[]
  /** RFC 3339, one for all or one each. Default: the last event's time, now in an empty shard. */
  recordedAt?: string | readonly string[]
  /** The name of the token that posted it; `owner` by default. */
  source?: string
  /** Gives each event an idempotency key, `key-<position>`. */
  keyed?: boolean
}

/** Returns the name of the unique index of the idempotency keys of shard 0. */
export async function readKeyIndex(owner: postgres.Sql): Promise<string> {
  const [row] = await owner<{ name: string }[]>`
    select c.relname as name
    from pg_class c
    where c.relkind = 'i' and c.relname ~ '^events(_0_0)?_idempotency_key$'`
  return row!.name
}

/** Appends one event directly, as only the owner can. Returns its position. */
export async function insertEvent(
  owner: postgres.Sql,
  { payload = EMPTY_FLUSH, ...event }: TestEvents & { payload?: string },
): Promise<number> {
  return insertEvents(owner, [payload], event)
}

/** Appends one event per payload in one statement. Returns the position of the first. */
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
  const versions = payloads.map((_, i) => (typeof version === 'number' ? version : version[i]!))
  // No CTE: on Citus an insert is joined to rows of its shard.
  const rows = await owner<{ position: string }[]>`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      ${shard}::integer, last.position + p.number, ${type}, p.version::smallint,
      coalesce(p.recorded_at::timestamptz, last.recorded_at, clock_timestamp()),
      ${source}, case when ${keyed} then 'key-' || last.position + p.number end, p.payload::json,
      sha256(convert_to(p.payload, 'UTF8'))
    from (
        select coalesce(max(e.position), -1) as position, max(e.recorded_at) as recorded_at
        from events e
        where e.shard = ${shard}
      ) last
      cross join unnest(${payloads as string[]}::text[], ${times}::text[], ${versions}::integer[])
        with ordinality p(payload, recorded_at, version, number)
    returning position`
  return rows.reduce((first, { position }) => Math.min(first, Number(position)), Infinity)
}

/** Inserts an empty flush at a position, even if that leaves a gap before it. */
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

/** Appends flushes of one API key each, with idempotency keys, to shard 0. */
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

/** Changes the log with its triggers disabled, as only the owner of the database can. */
export async function editLog(
  owner: postgres.Sql,
  edit: (sql: postgres.Sql) => Promise<unknown>,
): Promise<void> {
  for (const table of await readTables(owner)) {
    await owner.unsafe(`alter table ${table} disable trigger user`)
  }
  await edit(owner)
  for (const table of await readTables(owner)) {
    await owner.unsafe(`alter table ${table} enable trigger user`)
  }
}

/** Returns the tables of the log and of its hashes; each has triggers of its own. */
async function readTables(owner: postgres.Sql): Promise<string[]> {
  const partitions = await owner<{ name: string }[]>`
    select t.relid::regclass::text as name from pg_partition_tree('events') t`
  return ['tiles', 'events', ...partitions.map(({ name }) => name)]
}

/** Returns the positions of one shard's events in order, or of all shards one after the other. */
export async function readPositions(owner: postgres.Sql, shard?: number): Promise<number[]> {
  const rows = await owner<{ position: string }[]>`
    select e.position
    from events e
    where e.shard = ${shard ?? null}::integer or ${shard === undefined}
    order by e.shard, e.position`
  return rows.map(({ position }) => Number(position))
}

/** Returns the number of flushes in the log, over all shards. */
export async function countFlushes(owner: postgres.Sql): Promise<number> {
  const [row] = await owner<{ count: number }[]>`
    select count(*)::integer as count from events where type <> 'CatalogChanged'`
  return row!.count
}

/** Returns a response's Tallybook-Position, such as `0/41`. */
export function positionOf(response: Response): string {
  const position = response.headers.get('tallybook-position')
  if (position === null) throw new Error(`no position: ${response.status}`)
  return position
}

const ALL_SHARDS = Array.from({ length: TEST_SHARDS }, (_, shard) => shard)

/** Locks the rows of `shards`, as another program might, until released. */
export async function lockShards(
  { address }: TestDatabase,
  shards = ALL_SHARDS,
): Promise<{ release(): Promise<void> }> {
  const blocker = connectAsOwner(address)
  const connection = await blocker.reserve()
  await connection`begin`
  await lockRows(connection, 'shards', shards)
  return {
    release: async () => {
      await connection`rollback`
      connection.release()
      await blocker.end()
    },
  }
}

/** Locks all rows of a distributed table, with one statement per shard, which Citus requires. */
export async function lockRows(
  connection: postgres.ReservedSql,
  table: string,
  shards = ALL_SHARDS,
): Promise<void> {
  for (const shard of shards) {
    await connection`select 1 from ${connection(table)} where shard = ${shard} for update`
  }
}

/** Milliseconds until a connection that doesn't wait for a lock is a failure. */
const PATIENCE_MS = 60_000

/** Waits until this many connections wait for a lock; returns their process ids. */
export async function untilWaiting(owner: postgres.Sql, count: number): Promise<number[]> {
  // On Citus a worker waits on behalf of a connection of the coordinator.
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
  throw new Error(`not ${count} connections waiting for a lock in ${PATIENCE_MS} ms`)
}

const EMPTY_FLUSH =
  '{"hashes":[],"requests":[],"tokens":[],"last_accessed_at":[],"quota_tracked":[]}'
