import { type StoredEvent, tryDecodeEvent, UnknownEvent } from '../events/event.ts'
import { toExact } from '../events/exact.ts'
import { type AttributedFlush, FLUSH_TYPES } from '../events/flush.ts'
import { openWindow, type Stretch } from '../log/archived.ts'
import { take } from '../log/filter.ts'
import { recordedAt } from '../log/read.ts'
import { payloadText } from '../log/visit.ts'
import { isOfNewerCode } from '../platform/postgres/newer.ts'
import type { Transaction } from '../platform/postgres/pool.ts'
import { changesOf, type Part, type SourceChange, type SourceFlush, toChange } from './change.ts'

/** Consecutive parts of a shard; `isFull` if they do not reach its head. */
export type Page = { parts: Part[]; isFull: boolean }

/** Events that are read at once: decoding them takes some 10 ms of this thread. */
export const PAGE_EVENTS = 500

/** Bytes of payloads at which a page ends. */
const PAGE_BYTES = 4 * 1024 * 1024

type Row = {
  position: string
  type: string
  version: number
  recorded_at: string
  source: string
  payload: string | null
}

/**
 * Reads the events of a shard after a position, whose head was `head`. The page ends before an
 * event of a newer release; an event that no release can read counts nothing. Of what has left the
 * database large flushes are decoded here, too.
 */
export async function readPage(
  transaction: Transaction,
  shard: number,
  after: number,
  head: number,
): Promise<Page> {
  const stretch = { shard, after, through: after + PAGE_EVENTS }
  const { events, through } = await openWindow(transaction, stretch, PAGE_EVENTS)
  const limits = { rows: PAGE_EVENTS, bytes: PAGE_BYTES }
  const rows =
    events === null
      ? await selectRows(transaction, { shard, after, through })
      : take(events, limits, () => true).map(toRow)
  const parts: Part[] = []
  for (const row of rows) {
    const position = Number(row.position)
    let isUnknown = false
    const isLarge = row.payload === null && FLUSHES.includes(row.type)
    const change = isLarge
      ? await readLarge(transaction, shard, row)
      : readChange(row, (reason) => {
          isUnknown = reason instanceof UnknownEvent
        })
    if (isUnknown && (await isOfNewerCode(transaction))) return { parts, isFull: false }
    const changes = change === null ? [] : [change]
    parts.push({ position, recordedAt: row.recorded_at, changes })
  }
  return { parts, isFull: (parts.at(-1)?.position ?? head) < head }
}

function selectRows(transaction: Transaction, { shard, after, through }: Stretch): Promise<Row[]> {
  return transaction<Row[]>`
    select e.position, e.type, e.version, ${recordedAt(transaction)}, e.source,
      case when ${isFlush(transaction)} then ${payloadText(transaction, true)} end as payload
    from (
      select e.*, sum(pg_column_size(e.payload)) over (order by e.position) as bytes
      from events e
      where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
    ) e
    where e.bytes - pg_column_size(e.payload) < ${PAGE_BYTES}
    order by e.position`
}

const toRow = (event: StoredEvent): Row => ({
  ...{ position: String(event.position), type: event.type, version: event.version },
  ...{ recorded_at: event.recordedAt, source: event.source },
  payload: FLUSHES.includes(event.type) ? event.payload : null,
})

const FLUSHES: readonly string[] = FLUSH_TYPES

const isFlush = (transaction: Transaction) => transaction`e.type in ${transaction(FLUSHES)}`

function readChange(row: Row, onUnreadable: (reason: unknown) => void): SourceChange | null {
  const { type, version, payload, source, recorded_at } = row
  if (payload === null) return null
  const event = tryDecodeEvent({ type, version, payload }, onUnreadable)
  if (event === null) return null
  return changesOf([event as AttributedFlush], [source], recorded_at)[0]!
}

/** Lets the database add up a flush that would take this thread long to decode. */
async function readLarge(
  transaction: Transaction,
  shard: number,
  { position, type, source, recorded_at }: Row,
): Promise<SourceChange> {
  const [row] = await transaction<{ requests: string; seconds: string; sequence: string | null }[]>`
    select
      coalesce(sum(f.requests), 0) as requests,
      coalesce(sum(coalesce(f.successes, f.tokens)), 0) as seconds,
      (
        select e.payload ->> 'sequence'
        from events e
        where e.shard = ${shard} and e.position = ${position}
      ) as sequence
    from flush_entries f
    where f.shard = ${shard} and f.position = ${position}`
  return toChange({
    ...{ source, recordedAt: recorded_at, type: type as SourceFlush['type'] },
    ...{ requests: toExact(row!.requests), seconds: toExact(row!.seconds) },
    sequence: row!.sequence,
  })
}
