import type { StoredEvent } from '../events/event.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { type ReadRange, recordedAt } from './read.ts'

/** The part of an event that a fold reads; the payload is UTF-8, or null if it was too large. */
export type FoldableEvent = Pick<
  StoredEvent,
  'position' | 'type' | 'version' | 'recordedAt' | 'payloadSha256'
> & { payload: Uint8Array | null }

/** Bytes of a payload that a service decodes on its own thread, in a millisecond or two. */
const SMALL_BYTES = 256 * 1024

/** An event of the log: its place and time, and the hash of what it says. */
export type EventPlace = {
  shard: number
  position: number
  recordedAt: string
  payloadSha256: string
}

/** The payload of `e`; null where it is large and not wanted: then it isn't fetched either. */
export const payloadText = (sql: Sql | Transaction, smallOnly: boolean) =>
  smallOnly
    ? sql`case when pg_column_size(e.payload) <= ${SMALL_BYTES} then e.payload::text end`
    : sql`e.payload::text`

/**
 * Shows the first `limit` events of a range one after the other as they arrive, so that none are
 * kept and this thread serves others between them; gives how many there were. A payload is a view
 * of what the connection received, good until `visit` returns.
 * With `smallOnly` a larger payload is left in the database.
 */
export async function visitEvents(
  sql: Sql | Transaction,
  { shard, after }: ReadRange,
  limit: number,
  visit: (event: FoldableEvent) => void,
  smallOnly = false,
): Promise<number> {
  let events = 0
  const rows = sql`
    select
      e.position, e.type, e.version, ${recordedAt(sql)}, encode(e.payload_sha256, 'hex'),
      ${payloadText(sql, smallOnly)}
    from events e
    where e.shard = ${shard} and e.position > ${after}
    order by e.position
    limit ${limit}`.raw()
  await rows.forEach((row) => {
    // The driver's types know no rows of columns.
    const [position, type, version, at, sha256, payload = null] = row as unknown as Buffer[]
    events++
    visit({
      position: Number(position!.toString('latin1')),
      type: type!.toString('latin1'),
      version: Number(version!.toString('latin1')),
      recordedAt: at!.toString('latin1'),
      payloadSha256: sha256!.toString('latin1'),
      payload,
    })
  })
  return events
}
