import { PayloadError } from '../../events/columns.ts'
import { decodeEvent } from '../../events/event.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import { type UnknownKind, unknownOf } from '../../events/unknown.ts'
import { visitEvents } from '../../log/visit.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { sharesOf } from '../posted-amounts.ts'

/** What was posted under a name in one quarter hour, or in one flush. */
export type Used = {
  name: string
  /** RFC 3339. */
  time: string
  requests: number
  seconds: number
  flushes: number
  accessed: number
}

/** What an earlier adoption of a name has covered: flushes through a position, or until a time. */
export type Covered = { through: number; until: string }

/** The names to look for in a part of the log, because the shard does not keep them apart. */
export type LogScan = {
  shard: number
  after: number
  through: number
  kind: UnknownKind
  names: ReadonlyMap<string, Covered>
  /** The positions of reversed flushes. */
  reversed: ReadonlySet<number>
}

/** Events visited at a time. */
const EVENTS = 20_000

/** Reads what flushes posted under names, and no adoption has covered. */
export async function scanLog(sql: Sql | Transaction, scan: LogScan): Promise<Used[]> {
  const sums = new Map<string, Pick<Used, 'name' | 'time' | 'flushes' | 'accessed'> & Sums>()
  const { shard, kind, names, reversed } = scan
  const type = kind === 'key' ? 'KeyStatsFlushed' : 'ApiKeyStatsFlushed'
  const add = (name: string, time: string, position: number, counts: Sums, accessed: number) => {
    const start = quarterOf(time)
    const key = `${start} ${name}`
    const row = sums.get(key) ?? {
      ...{ name, time: start, requests: 0, seconds: 0, flushes: 0, accessed: 0, last: -1 },
    }
    sums.set(key, row)
    row.requests = addExact(row.requests, Number(counts.requests))
    row.seconds = addExact(row.seconds, Number(counts.seconds))
    row.accessed = Math.max(row.accessed, accessed)
    if (row.last !== position) row.flushes++
    row.last = position
  }
  for (let after = scan.after; after < scan.through; after += EVENTS) {
    const events = Math.min(EVENTS, scan.through - after)
    const visited = await visitEvents(sql, { shard, after }, events, (stored) => {
      if (stored.type !== type || reversed.has(stored.position)) return
      for (const entries of readUnknown(stored.type, stored.version, stored.payload!, stored)) {
        for (const [i, name] of entries.names.entries()) {
          const covered = names.get(name)
          if (covered === undefined || isCovered(covered, stored)) continue
          const counts = { requests: entries.requests[i]!, seconds: entries.seconds[i]! }
          add(name, stored.recordedAt, stored.position, counts, entries.accesses?.[i] ?? 0)
        }
      }
    })
    if (visited < events) {
      throw new TemporarilyUnavailable('log changed', 1, 'The log has lost events. Retry.')
    }
  }
  return [...sums.values()].flatMap(({ name, time, accessed, ...counts }) =>
    toUsed({ name, time, accessed }, [counts.requests, counts.seconds, counts.flushes]),
  )
}

type Sums = { requests: Exact; seconds: Exact; last?: number }

/** Returns requests, seconds and flushes as rows: several if a sum is too large for one. */
export function toUsed(
  row: Pick<Used, 'name' | 'time' | 'accessed'>,
  sums: readonly Exact[],
): Used[] {
  return [...sharesOf(sums)].map(([requests, seconds, flushes]) => ({
    ...row,
    ...{ requests: requests!, seconds: seconds!, flushes: flushes! },
  }))
}

const isCovered = (
  { through, until }: Covered,
  { position, recordedAt }: { position: number; recordedAt: string },
) => position <= through || recordedAt <= until

/** The start of the quarter hour of a time: `2026-01-31T12:15:00.000000+00:00`. */
function quarterOf(time: string): string {
  const minute = Number(time.slice(14, 16))
  return `${time.slice(0, 14)}${String(minute - (minute % 15)).padStart(2, '0')}:00.000000+00:00`
}

/** Returns nothing for an event that can't be folded: it was parked. */
function readUnknown(
  type: string,
  version: number,
  payload: Uint8Array,
  { recordedAt }: { recordedAt: string },
) {
  try {
    return unknownOf(decodeEvent(type, version, payload), recordedAt)
  } catch (error) {
    if (error instanceof PayloadError) return []
    throw error
  }
}
