import type { StoredEvent } from '../events/event.ts'
import type { LeafEvent } from '../events/leaf.ts'
import type { Positions } from '../events/positions.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'

/**
 * One read of events: this many rows at most, and about as many bytes of payload; at least one row.
 */
export type ReadLimits = { rows: number; bytes: number }

/**
 * Which events to read: those of one shard after a position, and as far as another; from the end
 * where the newest are to come first.
 */
export type ReadRange = { shard: number; after: number; through?: number; newestFirst?: boolean }

/** What to leave out; absent is no filter. Times are RFC 3339, half open. */
export type ReadFilter = { type?: string; source?: string; from?: string; to?: string }

/** Position of each shard's last event, -1 where it has none; index is the shard. */
export async function readHeads(sql: Sql | Transaction): Promise<Positions> {
  const rows = await sql<{ shard: number; head: string }[]>`
    select
      s.shard,
      coalesce((select max(e.position) from events e where e.shard = s.shard), -1) as head
    from shards s
    order by s.shard`
  return rows.map(({ head }) => Number(head))
}

/** As `readHeads`, of one shard. */
export async function readHead(sql: Sql | Transaction, shard: number): Promise<number> {
  const [row] = await sql<{ head: string }[]>`
    select coalesce(max(e.position), -1) as head from events e where e.shard = ${shard}`
  return Number(row!.head)
}

/** Positions that one read looks at where a filter leaves events out: some 50 ms. */
const POLLED_AT = 100_000

/**
 * A read of events. `ends`: nothing of the range is left; otherwise it was looked through so far.
 */
export type EventsRead = { events: StoredEvent[]; ends: boolean; readThrough: number }

/**
 * Events of a range in the order of the log, or backwards; fewer than all where a limit is met, or
 * where a filter leaves many others out: perhaps none, then.
 */
export async function readEvents(
  sql: Sql | Transaction,
  range: ReadRange,
  limits: ReadLimits,
  filter: ReadFilter = {},
): Promise<EventsRead> {
  const { newestFirst = false } = range
  const isFiltered = filter.type !== undefined || filter.source !== undefined
  const narrowed = await narrow(sql, range, filter)
  if (newestFirst || isFiltered) {
    narrowed.through = Math.min(narrowed.through, await readHead(sql, range.shard))
  }
  const looked = { ...narrowed, newestFirst }
  if (isFiltered && newestFirst) looked.after = Math.max(looked.after, looked.through - POLLED_AT)
  else if (isFiltered) looked.through = Math.min(looked.through, looked.after + POLLED_AT)
  const events = await selectEvents(sql, looked, limits, filter)
  const bytes = events.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
  if (events.length >= limits.rows || bytes >= limits.bytes) {
    return { events, ends: false, readThrough: events.at(-1)!.position }
  }
  const ends = newestFirst ? looked.after <= narrowed.after : looked.through >= narrowed.through
  return { events, ends, readThrough: newestFirst ? looked.after + 1 : looked.through }
}

/**
 * The part of a range that `from` and `to` leave of it as the log stands now. Where one of them is
 * yet to come, what is appended later is for `selectEvents` to leave out.
 */
export async function narrow(
  sql: Sql | Transaction,
  { shard, after, through = Number.MAX_SAFE_INTEGER }: ReadRange,
  { from, to }: ReadFilter,
): Promise<Required<Omit<ReadRange, 'newestFirst'>>> {
  const [first, end] = await Promise.all([
    from === undefined ? null : readPositionAt(sql, shard, from),
    to === undefined ? null : readPositionAt(sql, shard, to),
  ])
  return {
    shard,
    after: first === null ? after : Math.max(after, first - 1),
    through: end === null ? through : Math.min(through, end - 1),
  }
}

/** As `readEvents`, without narrowing the range: it looks at every event of it. */
export async function selectEvents(
  sql: Sql | Transaction,
  { shard, after, through, newestFirst = false }: ReadRange,
  limits: ReadLimits,
  { type, source, from, to }: ReadFilter = {},
): Promise<StoredEvent[]> {
  const inOrder = newestFirst ? sql`order by e.position desc` : sql`order by e.position`
  // The size of a stored payload is known without fetching it: the inner query reads none.
  const rows = await sql<EventRow[]>`
    select ${columns(sql)}
    from (
      select e.*, sum(pg_column_size(e.payload)) over (${inOrder}) as bytes
      from events e
      where e.shard = ${shard}
        and e.position > ${after}
        ${through === undefined ? sql`` : sql`and e.position <= ${through}`}
        ${type === undefined ? sql`` : sql`and e.type = ${type}`}
        ${source === undefined ? sql`` : sql`and e.source = ${source}`}
        ${from === undefined ? sql`` : sql`and e.recorded_at >= ${from}::timestamptz`}
        ${to === undefined ? sql`` : sql`and e.recorded_at < ${to}::timestamptz`}
      ${inOrder}
      limit ${limits.rows}
    ) e
    where e.bytes - pg_column_size(e.payload) < ${limits.bytes}
    ${inOrder}`
  return rows.map(toStoredEvent)
}

/**
 * The first position of a shard recorded at `at` or later. A statement of its own: on Citus a
 * function that reads the log can't run within another that does.
 */
export async function readPositionAt(
  sql: Sql | Transaction,
  shard: number,
  at: string,
): Promise<number> {
  const [row] = await sql<{ position: string }[]>`
    select position_at(${shard}, ${at}::timestamptz) as position`
  return Number(row!.position)
}

/** When an event was recorded, as `recordedAt` writes it; null where the shard has none there. */
export async function readRecordedAt(
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<string | null> {
  const [row] = await sql<{ recorded_at: string }[]>`
    select ${recordedAt(sql)} from events e where e.shard = ${shard} and e.position = ${position}`
  return row?.recorded_at ?? null
}

/** A moment as `recordedAt` writes it, rounded as the log rounds. */
export async function toRecordedAt(sql: Sql, moment: string): Promise<string> {
  const [row] = await sql<{ recorded_at: string }[]>`
    select ${recordedAt(sql)} from (select ${moment}::timestamptz as recorded_at) e`
  return row!.recorded_at
}

/**
 * What no other event of its shard and position has, in another history of the log: when it was
 * recorded, and the hash of what it says.
 */
export const identityOf = ({
  recordedAt,
  payloadSha256,
}: Pick<LeafEvent, 'recordedAt' | 'payloadSha256'>): string => `${recordedAt} ${payloadSha256}`

/** As `identityOf`, of the event at a position; null where there is none. */
export async function readIdentity(
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<string | null> {
  const [row] = await sql<Pick<EventRow, 'recorded_at' | 'payload_sha256'>[]>`
    select ${recordedAt(sql)}, encode(e.payload_sha256, 'hex') as payload_sha256
    from events e
    where e.shard = ${shard} and e.position = ${position}`
  return row ? `${row.recorded_at} ${row.payload_sha256}` : null
}

/** One event; null where the shard has none at that position. */
export async function readEvent(
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<StoredEvent | null> {
  const [row] = await sql<EventRow[]>`
    select ${columns(sql)}
    from events e
    where e.shard = ${shard} and e.position = ${position}`
  return row ? toStoredEvent(row) : null
}

/** What the leaves of a shard say, from a position on, as far as the event before `to`. */
export async function readLeafEvents(
  sql: Sql | Transaction,
  shard: number,
  from: number,
  to: number,
): Promise<LeafEvent[]> {
  const rows = await sql<Omit<EventRow, 'payload' | 'payload_bytes'>[]>`
    select ${leafColumns(sql)}
    from events e
    where e.shard = ${shard} and e.position >= ${from} and e.position < ${to}
    order by e.position`
  return rows.map(toLeafEvent)
}

type EventRow = {
  shard: number
  position: string
  type: string
  version: number
  recorded_at: string
  source: string
  idempotency_key: string | null
  payload: string
  payload_bytes: number
  payload_sha256: string
}

export const recordedAt = (sql: Sql | Transaction) => sql`
  to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as recorded_at`

const leafColumns = (sql: Sql | Transaction) => sql`
  e.shard, e.position, e.type, e.version, ${recordedAt(sql)},
  e.source, e.idempotency_key, encode(e.payload_sha256, 'hex') as payload_sha256`

const columns = (sql: Sql | Transaction) => sql`
  ${leafColumns(sql)}, e.payload::text as payload, pg_column_size(e.payload) as payload_bytes`

const toLeafEvent = (row: Omit<EventRow, 'payload' | 'payload_bytes'>): LeafEvent => ({
  shard: row.shard,
  position: Number(row.position),
  type: row.type,
  version: row.version,
  recordedAt: row.recorded_at,
  source: row.source,
  idempotencyKey: row.idempotency_key,
  payloadSha256: row.payload_sha256,
})

const toStoredEvent = (row: EventRow): StoredEvent => ({
  ...toLeafEvent(row),
  payload: row.payload,
  payloadBytes: row.payload_bytes,
})
