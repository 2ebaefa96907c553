import type { StoredEvent } from '../events/event.ts'
import type { LeafEvent } from '../events/leaf.ts'
import type { Positions } from '../events/positions.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import { openAt, openWindow, type Stretch } from './archived.ts'
import { type ReadFilter, type ReadLimits, take, toTest } from './filter.ts'
import { readPositionAt } from './position-at.ts'

/**
 * The events of one shard after a position and through another, by default to the end; in reverse
 * order with `newestFirst`.
 */
export type ReadRange = { shard: number; after: number; through?: number; newestFirst?: boolean }

/** Returns the position of each shard's last event, by shard; -1 if there is none. */
export async function readHeads(sql: Sql | Transaction): Promise<Positions> {
  const rows = await sql<{ head: string }[]>`select h.head from heads() h order by h.shard`
  return rows.map(({ head }) => Number(head))
}

/** Like `readHeads`, for one shard. */
export async function readHead(sql: Sql | Transaction, shard: number): Promise<number> {
  const [row] = await sql<{ head: string }[]>`select head_of(${shard}) as head`
  return Number(row!.head)
}

/** Positions that one filtered read scans at most: some 50 ms. */
const MAX_SCAN = 100_000

/** The result of a read, through `readThrough`. `ends` is true if nothing of the range is left. */
export type EventsRead = { events: StoredEvent[]; ends: boolean; readThrough: number }

/**
 * Reads events of a range in the order of the log, or in reverse. Returns fewer than all if a limit
 * is reached, and perhaps none if a filter leaves many others out.
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
  const scanned = { ...narrowed, newestFirst }
  if (isFiltered && newestFirst) scanned.after = Math.max(scanned.after, scanned.through - MAX_SCAN)
  else if (isFiltered) scanned.through = Math.min(scanned.through, scanned.after + MAX_SCAN)
  const events = await selectEvents(sql, scanned, limits, filter)
  const bytes = events.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
  if (events.length >= limits.rows || bytes >= limits.bytes) {
    return { events, ends: false, readThrough: events.at(-1)!.position }
  }
  const ends = newestFirst ? scanned.after <= narrowed.after : scanned.through >= narrowed.through
  return { events, ends, readThrough: newestFirst ? scanned.after + 1 : scanned.through }
}

/**
 * Narrows a range by `from` and `to` in the log as it is now. If one of them is in the future,
 * `selectEvents` has to leave out the events that are appended later.
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

/** Like `readEvents`, but does not narrow the range: it scans every event in it. */
export async function selectEvents(
  sql: Sql | Transaction,
  { shard, after, through = Number.MAX_SAFE_INTEGER, newestFirst = false }: ReadRange,
  limits: ReadLimits,
  filter: ReadFilter = {},
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  let [rows, bytes] = [limits.rows, limits.bytes]
  const left = { shard, after, through }
  // A filter may leave most of a window out. Callers pass absent members as undefined.
  const isFiltered = Object.values(filter).some((value) => value !== undefined)
  while (left.after < left.through && rows > 0 && bytes > 0) {
    const wanted = isFiltered ? FILTERED_EVENTS : rows
    const window = await openWindow(sql, left, wanted, newestFirst)
    const range = { shard, after: window.after, through: window.through, newestFirst }
    const found =
      window.events === null
        ? await selectInDatabase(sql, range, { rows, bytes }, filter)
        : take(window.events, { rows, bytes }, await toTest(sql, filter))
    for (const event of found) events.push(event)
    rows -= found.length
    for (const { payloadBytes } of found) bytes -= payloadBytes
    if (newestFirst) left.through = window.after
    else left.after = window.through
  }
  return events
}

/** Events of the archive that a filtered read looks at in one go: some 10 ms. */
const FILTERED_EVENTS = 2_000

async function selectInDatabase(
  sql: Sql | Transaction,
  { shard, after, through, newestFirst }: Required<ReadRange>,
  limits: ReadLimits,
  { type, source, from, to }: ReadFilter,
): Promise<StoredEvent[]> {
  const inOrder = newestFirst ? sql`order by e.position desc` : sql`order by e.position`
  // The size of a stored payload is known without fetching it: the inner query fetches none.
  const rows = await sql<EventRow[]>`
    select ${columns(sql)}
    from (
      select e.*, sum(pg_column_size(e.payload)) over (${inOrder}) as bytes
      from events e
      where e.shard = ${shard}
        and e.position > ${after} and e.position <= ${through}
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

/** Returns the content of an event's leaf, or null if the shard has none at that position. */
export async function readLeafEvent(
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<LeafEvent | null> {
  const { events } = await openAt(sql, shard, position)
  if (events !== null) return events[0] ?? null
  const [row] = await sql<LeafRow[]>`
    select ${leafColumns(sql)}
    from events e
    where e.shard = ${shard} and e.position = ${position}`
  return row ? toLeafEvent(row) : null
}

/** Returns when an event was recorded, formatted by `recordedAt`, or null if there is no event. */
export const readRecordedAt = async (
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<string | null> => (await readLeafEvent(sql, shard, position))?.recordedAt ?? null

/**
 * Returns what distinguishes an event from the one at the same position in another history of the
 * log: when it was recorded, and the hash of its payload.
 */
export const identityOf = ({
  recordedAt,
  payloadSha256,
}: Pick<LeafEvent, 'recordedAt' | 'payloadSha256'>): string => `${recordedAt} ${payloadSha256}`

/** Like `identityOf`, for the event at a position; null if there is none. */
export async function readIdentity(
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<string | null> {
  const event = await readLeafEvent(sql, shard, position)
  return event && identityOf(event)
}

/** Returns one event, or null if the shard has none at that position. */
export async function readEvent(
  sql: Sql | Transaction,
  shard: number,
  position: number,
): Promise<StoredEvent | null> {
  const { events } = await openAt(sql, shard, position)
  if (events !== null) return events[0] ?? null
  const [row] = await sql<EventRow[]>`
    select ${columns(sql)}
    from events e
    where e.shard = ${shard} and e.position = ${position}`
  return row ? toStoredEvent(row) : null
}

/** Reads the content of a shard's leaves from `from` to `to`, exclusive. */
export async function readLeafEvents(
  sql: Sql | Transaction,
  shard: number,
  from: number,
  to: number,
): Promise<LeafEvent[]> {
  const leaves: LeafEvent[] = []
  for (let after = from - 1; after < to - 1; ) {
    const stretch = { shard, after, through: to - 1 }
    const { through, events } = await openWindow(sql, stretch, to - 1 - after)
    if (events !== null) leaves.push(...events.map(withoutPayload))
    else leaves.push(...(await selectLeaves(sql, { shard, after, through })))
    after = through
  }
  return leaves
}

async function selectLeaves(
  sql: Sql | Transaction,
  { shard, after, through }: Stretch,
): Promise<LeafEvent[]> {
  const rows = await sql<LeafRow[]>`
    select ${leafColumns(sql)}
    from events e
    where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
    order by e.position`
  return rows.map(toLeafEvent)
}

const withoutPayload = ({ payload, payloadBytes, ...leaf }: StoredEvent): LeafEvent => leaf

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

/** Selects the time of `e`: RFC 3339 in UTC, with microseconds. */
export const recordedAt = (sql: Sql | Transaction) =>
  sql.unsafe(`${toMicroseconds('e.recorded_at')} as recorded_at`)

/** Condition on `e`: a flush that may have a time of its own, dimensions and measures. */
export const mayHaveDetails = (sql: Sql | Transaction) => sql`
  (
    (e.type = 'ApiKeyStatsFlushed' and e.version >= 4)
    or (e.type = 'KeyStatsFlushed' and e.version >= 2)
  )`

/**
 * Selects the time of its own (Unix seconds) that flush `e` states; null if there is none.
 */
export const statedTime = (sql: Sql | Transaction) => sql`
  case
    when ${mayHaveDetails(sql)} and json_typeof(e.payload->'counted_at') = 'number'
      then (e.payload->>'counted_at')::numeric
  end`

/** Like `statedTime`, for an event of the archive. */
export function statedTimeOf({ type, version, payload }: StoredEvent): number | null {
  const since = { ApiKeyStatsFlushed: 4, KeyStatsFlushed: 2 }[type]
  if (since === undefined || version < since) return null
  const { counted_at: at } = JSON.parse(payload) as { counted_at?: unknown }
  return typeof at === 'number' ? at : null
}

/** Condition on `e`: a flush that states another quarter hour than that of its event. */
export const isBackdated = (sql: Sql | Transaction) => sql`
  div(${statedTime(sql)}, 900) <> div(extract(epoch from e.recorded_at), 900)`

const leafColumns = (sql: Sql | Transaction) => sql`
  e.shard, e.position, e.type, e.version, ${recordedAt(sql)},
  e.source, e.idempotency_key, encode(e.payload_sha256, 'hex') as payload_sha256`

const columns = (sql: Sql | Transaction) => sql`
  ${leafColumns(sql)}, e.payload::text as payload, pg_column_size(e.payload) as payload_bytes`

type LeafRow = Omit<EventRow, 'payload' | 'payload_bytes'>

const toLeafEvent = (row: LeafRow): LeafEvent => ({
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
