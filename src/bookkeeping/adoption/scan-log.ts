import { PayloadError } from '../../events/columns.ts'
import { decodeEvent } from '../../events/event.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import { type UnknownKind, unknownOf } from '../../events/unknown.ts'
import { type FoldableEvent, visitEvents } from '../../log/visit.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { sharesOf } from '../posted-amounts.ts'

/** Counts that flushes posted under a name in one quarter hour. */
export type Used = {
  name: string
  /** RFC 3339. */
  time: string
  requests: number
  seconds: number
  flushes: number
  accessed: number
}

/** The flushes that earlier adoptions of a name cover: through a position, or until a time. */
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
  const { shard, kind, names, reversed } = scan
  const type = kind === 'key' ? 'KeyStatsFlushed' : 'ApiKeyStatsFlushed'
  const sums = new UsedSums()
  const visit = (stored: FoldableEvent) => {
    if (stored.type !== type || reversed.has(stored.position)) return
    for (const { times, requests, seconds, accesses, ...entries } of readUnknown(stored)) {
      for (const [i, name] of entries.names.entries()) {
        const covered = names.get(name)
        if (covered === undefined || isCovered(covered, stored)) continue
        const time = quarterOf(typeof times === 'string' ? times : times[i]!)
        const { position } = stored
        sums.add({ name, time, position }, [requests[i]!, seconds[i]!], accesses?.[i] ?? 0)
      }
    }
  }
  for (let after = scan.after; after < scan.through; after += EVENTS) {
    const events = Math.min(EVENTS, scan.through - after)
    if ((await visitEvents(sql, { shard, after }, events, visit)) < events) {
      throw new TemporarilyUnavailable('log changed', 1, 'The log has lost events. Retry.')
    }
  }
  return sums.toRows()
}

/** An event that is visited. */
type Visited = { position: number; recordedAt: string }

type UsedSum = Pick<Used, 'name' | 'time' | 'accessed' | 'flushes'> & {
  requests: Exact
  seconds: Exact
  lastPosition: number
}

/** Sums of what flushes posted, by name and quarter hour. */
class UsedSums {
  readonly #sums = new Map<string, UsedSum>()

  add(
    { name, time, position }: { name: string; time: string; position: number },
    [requests, seconds]: [number, number],
    accessed: number,
  ): void {
    const key = `${time} ${name}`
    const sum = this.#sums.get(key) ?? { ...NOTHING, name, time }
    this.#sums.set(key, sum)
    sum.requests = addExact(sum.requests, requests)
    sum.seconds = addExact(sum.seconds, seconds)
    sum.accessed = Math.max(sum.accessed, accessed)
    // A flush may name a key several times.
    if (sum.lastPosition !== position) sum.flushes++
    sum.lastPosition = position
  }

  toRows(): Used[] {
    return [...this.#sums.values()].flatMap(({ name, time, accessed, ...counts }) =>
      toUsed({ name, time, accessed }, [counts.requests, counts.seconds, counts.flushes]),
    )
  }
}

const NOTHING = { requests: 0, seconds: 0, flushes: 0, accessed: 0, lastPosition: -1 }

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

const isCovered = ({ through, until }: Covered, { position, recordedAt }: Visited) =>
  position <= through || recordedAt <= until

/** The start of the quarter hour of a time, as the log writes times. */
const quarterOf = (time: string) => startOfQuarterHour(time).replace('+', '.000000+')

/** Returns nothing for an event that can't be folded: it was parked. */
function readUnknown({ type, version, payload, recordedAt }: FoldableEvent) {
  try {
    return unknownOf(decodeEvent(type, version, payload!), recordedAt)
  } catch (error) {
    if (error instanceof PayloadError) return []
    throw error
  }
}
