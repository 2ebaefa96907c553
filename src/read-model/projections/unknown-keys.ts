import { addExact } from '../../events/exact.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { UnknownEntries, UnknownKind } from '../../events/unknown.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { addMeasures } from './detail-totals.ts'
import type { Entry } from './entry.ts'
import type { Fold, Table, WriteTarget } from './projection.ts'
import { cutRows } from './slices.ts'
import {
  type Adopted,
  type Name,
  type Part,
  type Taken,
  type Used,
  writeNames,
  writeParts,
  writeTaken,
  writeUsage,
} from './unknown-rows.ts'

const table = (name: string, key: string[], values: string[]): Table => ({
  name,
  key,
  values,
  fillfactor: null,
})

/**
 * Entries of flushes for keys that the catalog did not have. `unknown_keys` has the names by shard
 * (an empty one for all that are not kept apart), `unknown_usage` what was posted under each name
 * by quarter hour, less what acts took, and `unknown_parts` what of it had dimensions or measures.
 * `unknown_taken` has what each act took of each name.
 */
export const UNKNOWN_TABLES: readonly Table[] = [
  table(
    'unknown_keys',
    ['shard', 'kind', 'name'],
    ['number', 'requests', 'flushes', 'first_seen', 'last_seen'],
  ),
  table(
    'unknown_usage',
    ['shard', 'kind', 'name', 'quarter'],
    ['requests', 'seconds', 'last_accessed_at', 'flushes'],
  ),
  table(
    'unknown_parts',
    ['shard', 'kind', 'name', 'quarter', 'combination'],
    ['requests', 'seconds', 'measures'],
  ),
  table(
    'unknown_taken',
    ['position', 'kind', 'name'],
    ['requests', 'flushes', 'group_id', 'quota_tracked'],
  ),
]

const KINDS: readonly UnknownKind[] = ['api_key', 'key']

/** The rows of one kind; names and their quarter hours are in order of appearance. */
class Rows {
  readonly names = new Map<string, Name>()
  readonly posted = new Map<string, Used>()
  readonly takenUsage = new Map<string, Used>()
  readonly parts = { posted: new Map<string, Part>(), taken: new Map<string, Part>() }
  readonly taken = new Map<string, Taken>()

  get size(): number {
    const parts = this.parts.posted.size + this.parts.taken.size
    return this.names.size + this.posted.size + this.takenUsage.size + this.taken.size + parts
  }

  add(entries: UnknownEntries, position: number, recordedAt: string): void {
    const { names, times, requests, seconds, accesses, flushes, groups, tracked } = entries
    const { details } = entries
    const usage = flushes === null ? this.posted : this.takenUsage
    const sign = flushes === null ? 1 : -1
    for (const [i, name] of names.entries()) {
      const quarter = startOfQuarterHour(typeof times === 'string' ? times : times[i]!)
      const used = getOrAdd(usage, `${quarter} ${name}`, () => ({ ...NOTHING, name, quarter }))
      used.requests = addExact(used.requests, sign * requests[i]!)
      used.seconds = addExact(used.seconds, sign * seconds[i]!)
      used.accessed = Math.max(used.accessed, accesses?.[i] ?? 0)
      if (details !== undefined) this.#addPart(entries, i, quarter, sign)
      if (flushes === null) {
        // A flush may name a key several times.
        if (used.lastPosition !== position) used.flushes++
        used.lastPosition = position
        this.#seeName(name, requests[i]!, position, recordedAt)
      } else {
        used.flushes -= flushes[i]!
        const adopted = { group: groups?.[i] ?? null, isTracked: tracked?.[i] ?? null }
        this.#take(position, { name, requests: requests[i]!, flushes: flushes[i]!, ...adopted })
      }
    }
  }

  #addPart(
    { names, requests, seconds, flushes, details }: UnknownEntries,
    i: number,
    quarter: string,
    sign: 1 | -1,
  ): void {
    const index = details!.combination[i]!
    if (index === null) return
    const name = names[i]!
    const combination = details!.combinations[index]!
    const parts = flushes === null ? this.parts.posted : this.parts.taken
    // No name contains a NUL.
    const part = getOrAdd(parts, `${quarter} ${name}\0${combination}`, () => ({
      ...{ name, quarter, combination, requests: 0, seconds: 0, measures: [] },
    }))
    part.requests = addExact(part.requests, sign * requests[i]!)
    part.seconds = addExact(part.seconds, sign * seconds[i]!)
    addMeasures(part.measures, details!, i, sign)
  }

  #seeName(name: string, requests: number, position: number, at: string): void {
    const seen = getOrAdd(this.names, name, () => ({ ...NOTHING, name, first: at, last: at }))
    seen.requests = addExact(seen.requests, requests)
    if (seen.lastPosition !== position) seen.flushes++
    seen.lastPosition = position
    seen.last = at
  }

  #take(position: number, row: Adopted & { name: string; requests: number; flushes: number }) {
    const { name, requests, flushes, ...adopted } = row
    const key = `${position} ${name}`
    const create = (): Taken => ({ ...NOTHING, ...adopted, name, position })
    const taken = getOrAdd(this.taken, key, create)
    taken.requests = addExact(taken.requests, requests)
    taken.flushes += flushes
    // A quarter hour without tokens does not tell whether a quota was tracked.
    if (adopted.isTracked === false) taken.isTracked = false
  }
}

const NOTHING = { requests: 0, seconds: 0, flushes: 0, accessed: 0, lastPosition: -1 }

function getOrAdd<Value>(map: Map<string, Value>, key: string, create: () => Value): Value {
  const found = map.get(key) ?? create()
  map.set(key, found)
  return found
}

export class UnknownKeysFold implements Fold {
  readonly #rows = { api_key: new Rows(), key: new Rows() }

  get size(): number {
    return this.#rows.api_key.size + this.#rows.key.size
  }

  add({ unknown, position, recordedAt }: Entry): void {
    for (const entries of unknown) this.#rows[entries.kind].add(entries, position, recordedAt)
  }

  // Statements run in order: usage is kept of the names that are there.
  *write(transaction: Transaction, target: WriteTarget) {
    for (const kind of KINDS) {
      const { names, posted, takenUsage, taken, parts } = this.#rows[kind]
      for (const rows of cutRows(names.values())) yield writeNames(transaction, target, kind, rows)
      for (const rows of cutRows(posted.values())) {
        yield writeUsage(transaction, target, kind, rows, true)
      }
      for (const rows of cutRows(takenUsage.values())) {
        yield writeUsage(transaction, target, kind, rows, false)
      }
      for (const rows of cutRows(parts.posted.values())) {
        yield writeParts(transaction, target, kind, rows, true)
      }
      for (const rows of cutRows(parts.taken.values())) {
        yield writeParts(transaction, target, kind, rows, false)
      }
      for (const rows of cutRows(taken.values())) yield writeTaken(transaction, target, kind, rows)
    }
  }
}
