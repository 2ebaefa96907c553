import { isAct } from '../events/act.ts'
import { decodeEvent, postingsOf } from '../events/event.ts'
import { unknownOf } from '../events/unknown.ts'
import { openAt } from '../log/archived.ts'
import { readEvent, recordedAt, statedTime } from '../log/read.ts'
import type { EventPlace } from '../log/visit.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { SummedEvent } from './posted-act.ts'
import { PostedAmounts } from './posted-amounts.ts'
import { toReversed, UnknownAmounts } from './withdraw.ts'

/** An event without its payload. */
export type Header = {
  type: string
  recordedAt: string
  payloadSha256: string
  payloadBytes: number
  /** The time until which opening balances were counted. */
  asOf: string | null
  /** When a flush was counted (Unix seconds), if it says so. */
  countedAt: number | undefined
}

/** Reads the header of an event; null if there is none at this position. */
export async function readHeader(sql: Sql, shard: number, position: number) {
  const window = await openAt(sql, shard, position)
  const [row] = await window.read(
    (source) => source<HeaderRow[]>`
      select e.type, ${recordedAt(sql)}, encode(e.payload_sha256, 'hex') as payload_sha256,
        pg_column_size(e.payload) as payload_bytes,
        case when e.type = 'BalancesOpened' then e.payload->>'as_of' end as as_of,
        ${statedTime(sql)} as counted_at
      from events e
      where e.shard = ${shard} and e.position = ${position}`,
  )
  return row ? toHeader(row) : null
}

type HeaderRow = {
  type: string
  recorded_at: string
  payload_sha256: string
  payload_bytes: number
  as_of: string | null
  counted_at: string | null
}

const toHeader = (row: HeaderRow): Header => ({
  type: row.type,
  recordedAt: row.recorded_at,
  payloadSha256: row.payload_sha256,
  payloadBytes: row.payload_bytes,
  asOf: row.as_of,
  countedAt: row.counted_at === null ? undefined : Number(row.counted_at),
})

/**
 * Sums what an event adds to accounts, and its entries for unknown keys. Throws PayloadError if it
 * can't be folded, and TemporarilyUnavailable if the log has lost it.
 */
export async function sumEvent(sql: Sql, place: EventPlace): Promise<SummedEvent> {
  const stored = await readEvent(sql, place.shard, place.position)
  if (stored?.payloadSha256 !== place.payloadSha256) {
    throw new TemporarilyUnavailable('log changed', 1, 'The log has lost events. Retry.')
  }
  const event = decodeEvent(stored.type, stored.version, stored.payload)
  const posted = new PostedAmounts()
  const unknown = new UnknownAmounts()
  posted.add(postingsOf(event, place.recordedAt))
  // An act has none, only what it took.
  const entries = isAct(event.type) ? [] : unknownOf(event, place.recordedAt)
  for (const some of entries) unknown.add(some)
  return toReversed(posted, unknown)
}
