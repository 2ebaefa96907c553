import type { StoredEvent } from '../events/event.ts'
import { runInTurns } from '../platform/async/turns.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Fragment, Sql, Transaction } from '../platform/postgres/pool.ts'
import { archiveOf, openWindow, type Stretch } from './archived.ts'
import { type ReadRange, recordedAt } from './read.ts'

/** The part of an event that a fold reads. The payload is UTF-8, or null if it was too large. */
export type FoldableEvent = Pick<
  StoredEvent,
  'position' | 'type' | 'version' | 'recordedAt' | 'payloadSha256'
> & { payload: Uint8Array | null }

/** Payloads up to this many bytes are decoded on the main thread, in a millisecond or two. */
export const SMALL_BYTES = 256 * 1024

/** Identifies an event of the log: its position and time, and the hash of its payload. */
export type EventPlace = {
  shard: number
  position: number
  recordedAt: string
  payloadSha256: string
}

/** Selects the payload of `e`. With `smallOnly`, a large payload is null and isn't fetched. */
export const payloadText = (sql: Sql | Transaction, smallOnly: boolean) =>
  smallOnly
    ? sql`case when pg_column_size(e.payload) <= ${SMALL_BYTES} then e.payload::text end`
    : sql`e.payload::text`

/**
 * Calls `visit` with each of the first `limit` events of a range as they arrive, so that none are
 * held in memory and this thread serves others in between. Returns how many there were. A payload
 * is a view of the connection's buffer, valid until `visit` returns. With `smallOnly`, larger
 * payloads are left in the database. A `condition` on `e` leaves out other events.
 */
export async function visitEvents(
  sql: Sql | Transaction,
  { shard, after, through = Number.MAX_SAFE_INTEGER }: ReadRange,
  limit: number,
  visit: (event: FoldableEvent) => void,
  smallOnly = false,
  condition: Fragment | null = null,
): Promise<number> {
  let events = 0
  let isComplete = condition === null && archiveOf(sql) !== null
  for (let last = after; last < through && events < limit; ) {
    const left = limit - events
    // A condition may leave most of what is loaded out.
    const wanted = condition === null ? left : Number.POSITIVE_INFINITY
    const window = await openWindow(sql, { shard, after: last, through }, wanted)
    const stretch = { shard, after: last, through: window.through }
    let hasGap = false
    const check = (event: FoldableEvent) => {
      // More rows of the same statement may arrive after it has failed.
      hasGap ||= isComplete && event.position !== last + 1
      if (hasGap) throw new Gap()
      visit(event)
      events++
      last = event.position
    }
    try {
      if (condition === null && window.events !== null) {
        await runInTurns(window.events.values(), (event) => check(toFoldable(event, smallOnly)))
      } else {
        await window.read((source) =>
          visitWindow(source, stretch, left, check, smallOnly, condition ?? sql`true`),
        )
      }
      last = window.through
    } catch (error) {
      if (!(error instanceof Gap)) throw error
      await refuseLeft(sql, shard, last + 1)
      // The log is damaged: it is read as it is.
      isComplete = false
    }
  }
  return events
}

/** Returns the part of an event that a fold reads, as `visitEvents` passes it on. */
export function toFoldable(event: StoredEvent, smallOnly = false): FoldableEvent {
  const payload = Buffer.from(event.payload)
  return { ...event, payload: smallOnly && payload.length > SMALL_BYTES ? null : payload }
}

/** An event is missing between two others. */
class Gap extends Error {}

/**
 * Throws TemporarilyUnavailable if an event has left the database since a read looked for it there:
 * this process was held up for minutes.
 */
async function refuseLeft(sql: Sql | Transaction, shard: number, position: number): Promise<void> {
  if (!(await archiveOf(sql)!.hasLeft(shard, position))) return
  throw new TemporarilyUnavailable('log changed', 1, 'Events have left the database. Retry.')
}

async function visitWindow(
  sql: Sql | Transaction,
  { shard, after, through }: Stretch,
  limit: number,
  visit: (event: FoldableEvent) => void,
  smallOnly: boolean,
  condition: Fragment,
): Promise<void> {
  const rows = sql`
    select
      e.position, e.type, e.version, ${recordedAt(sql)}, encode(e.payload_sha256, 'hex'),
      ${payloadText(sql, smallOnly)}
    from events e
    where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
      and ${condition}
    order by e.position
    limit ${limit}`.raw()
  await rows.forEach((row) => {
    // The driver's types don't cover rows as arrays of columns.
    const [position, type, version, at, sha256, payload = null] = row as unknown as Buffer[]
    visit({
      position: Number(position!.toString('latin1')),
      type: type!.toString('latin1'),
      version: Number(version!.toString('latin1')),
      // PostgreSQL shows infinity, which only the owner can write, as null.
      recordedAt: at?.toString('latin1') ?? '',
      payloadSha256: sha256!.toString('latin1'),
      payload,
    })
  })
}
