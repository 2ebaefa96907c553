import { addExact, type Exact } from '../../events/exact.ts'
import { startOfQuarterHour } from '../../events/instant.ts'
import type { UnknownEntries, UnknownKind } from '../../events/unknown.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, unnest } from './account-sql.ts'
import { toArray, toTextArray } from './array.ts'
import type { Entry } from './entry.ts'
import type { Fold, Table, WriteTarget } from './projection.ts'
import { cutRows } from './slices.ts'

/** Names of each kind that a shard keeps apart, in order of appearance; the others are one row. */
const MAX_NAMES = 100_000

const table = (name: string, key: string[], values: string[]): Table => ({
  name,
  key,
  values,
  fillfactor: null,
})

/**
 * Entries of flushes for keys that the catalog did not have. `unknown_keys` has the names by shard
 * (an empty one for all that are not kept apart), `unknown_usage` what was posted under each name
 * by quarter hour, less what acts took. `unknown_taken` has what each act took of each name.
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
    'unknown_taken',
    ['position', 'kind', 'name'],
    ['requests', 'flushes', 'group_id', 'quota_tracked'],
  ),
]

const KINDS: readonly UnknownKind[] = ['api_key', 'key']

type Counts = { name: string; requests: Exact; flushes: number }
type Name = Counts & { first: string; last: string; lastPosition: number }
type Used = Counts & { quarter: string; seconds: Exact; accessed: number; lastPosition: number }
type Adopted = { group: number | null; isTracked: boolean | null }
type Taken = Counts & Adopted & { position: number }

/** The rows of one kind; names and their quarter hours are in order of appearance. */
class Rows {
  readonly names = new Map<string, Name>()
  readonly posted = new Map<string, Used>()
  readonly takenUsage = new Map<string, Used>()
  readonly taken = new Map<string, Taken>()

  get size(): number {
    return this.names.size + this.posted.size + this.takenUsage.size + this.taken.size
  }

  add(entries: UnknownEntries, position: number, recordedAt: string): void {
    const { names, times, requests, seconds, accesses, flushes, groups, tracked } = entries
    const usage = flushes === null ? this.posted : this.takenUsage
    const sign = flushes === null ? 1 : -1
    for (const [i, name] of names.entries()) {
      const quarter = startOfQuarterHour(typeof times === 'string' ? times : times[i]!)
      const used = getOrAdd(usage, `${quarter} ${name}`, () => ({ ...NOTHING, name, quarter }))
      used.requests = addExact(used.requests, sign * requests[i]!)
      used.seconds = addExact(used.seconds, sign * seconds[i]!)
      used.accessed = Math.max(used.accessed, accesses?.[i] ?? 0)
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
      const { names, posted, takenUsage, taken } = this.#rows[kind]
      for (const rows of cutRows(names.values())) yield writeNames(transaction, target, kind, rows)
      for (const rows of cutRows(posted.values())) {
        yield writeUsage(transaction, target, kind, rows, true)
      }
      for (const rows of cutRows(takenUsage.values())) {
        yield writeUsage(transaction, target, kind, rows, false)
      }
      for (const rows of cutRows(taken.values())) yield writeTaken(transaction, target, kind, rows)
    }
  }
}

const nameColumn = (rows: readonly Counts[]): Column => ({
  name: 'name',
  type: 'text',
  text: toTextArray(rows, ({ name }) => name),
})

/** The columns of names and counts. */
const countColumns = (rows: readonly Counts[]): Column[] => [
  nameColumn(rows),
  { name: 'requests', type: 'numeric', text: toArray(rows, ({ requests }) => requests) },
  { name: 'flushes', type: 'bigint', text: toArray(rows, ({ flushes }) => flushes) },
]

/**
 * A name that was not there gets the next number, or is added to the row of the others. Their row,
 * which has an empty name, has the last number that was given.
 */
function writeNames(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Name[],
): Promise<unknown> {
  const columns: Column[] = [
    ...countColumns(rows),
    { name: 'first_seen', type: 'timestamptz', text: toTextArray(rows, ({ first }) => first) },
    { name: 'last_seen', type: 'timestamptz', text: toTextArray(rows, ({ last }) => last) },
    { name: 'ordinal', type: 'bigint', text: toArray([...rows.entries()], ([i]) => i) },
  ]
  // Known names keep their number. Citus can't number rows of a subquery that looks them up.
  const numbered = transaction`
    select
      s.shard, f.name, f.requests, f.flushes, f.first_seen, f.last_seen,
      coalesce(
        known.number,
        coalesce(others.number, 0)
          + row_number() over (partition by known.number is null order by f.ordinal)
      ) as number
    from shards s
      cross join ${unnest(transaction, columns)}
      left join ${namesOf(transaction, generation, kind, 'known')} and known.name = f.name
      left join ${namesOf(transaction, generation, kind, 'others')} and others.name = ''
    where s.shard = ${shard}`
  return transaction`
    insert into unknown_keys as k
      (shard, generation, kind, name, number, requests, flushes, first_seen, last_seen)
    select
      r.shard, ${generation}, ${kind}, r.name, max(r.number), sum(r.requests), sum(r.flushes),
      min(r.first_seen), max(r.last_seen)
    from (
      select
        n.shard, least(n.number, ${MAX_NAMES}) as number, n.first_seen, n.last_seen,
        case when o.is_own and n.number <= ${MAX_NAMES} then n.name else '' end as name,
        case when o.is_own then n.requests else 0 end as requests,
        case when o.is_own then n.flushes else 0 end as flushes
      from (${numbered}) n
        cross join (values (true), (false)) as o(is_own)
    ) r
    group by r.shard, r.name
    on conflict (shard, generation, kind, name) do update set
      number = greatest(k.number, excluded.number),
      requests = k.requests + excluded.requests,
      flushes = k.flushes + excluded.flushes,
      first_seen = least(k.first_seen, excluded.first_seen),
      last_seen = greatest(k.last_seen, excluded.last_seen)`
}

/** Names of `s.shard`, for use after `join`. */
const namesOf = (
  transaction: Transaction,
  generation: number,
  kind: UnknownKind,
  alias: string,
): Fragment => {
  const column = (name: string) => transaction`${transaction(alias)}.${transaction(name)}`
  return transaction`
    unknown_keys ${transaction(alias)} on ${column('shard')} = s.shard
      and ${column('generation')} = ${generation} and ${column('kind')} = ${kind}`
}

/** Adds usage: of names that are kept apart, or all of it. */
function writeUsage(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Used[],
  onlyKept: boolean,
): Promise<unknown> {
  const columns: Column[] = [
    ...countColumns(rows),
    { name: 'quarter', type: 'timestamptz', text: toTextArray(rows, ({ quarter }) => quarter) },
    { name: 'seconds', type: 'numeric', text: toArray(rows, ({ seconds }) => seconds) },
    { name: 'accessed', type: 'bigint', text: toArray(rows, ({ accessed }) => accessed) },
  ]
  const kept = transaction`
    join ${namesOf(transaction, generation, kind, 'kept')} and kept.name = f.name`
  return transaction`
    insert into unknown_usage as u
      (shard, generation, kind, name, quarter, requests, seconds, last_accessed_at, flushes)
    select
      s.shard, ${generation}, ${kind}, f.name, f.quarter, f.requests, f.seconds, f.accessed,
      f.flushes
    from shards s
      cross join ${unnest(transaction, columns)}
      ${onlyKept ? kept : transaction``}
    where s.shard = ${shard}
    on conflict (generation, kind, name, quarter, shard) do update set
      requests = u.requests + excluded.requests,
      seconds = u.seconds + excluded.seconds,
      last_accessed_at = greatest(u.last_accessed_at, excluded.last_accessed_at),
      flushes = u.flushes + excluded.flushes`
}

/** Only shard 0 has acts, so the rows have no shard. */
function writeTaken(
  transaction: Transaction,
  { generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Taken[],
): Promise<unknown> {
  const optional = (value: (row: Taken) => number | boolean | null) =>
    toTextArray(rows, (row) => value(row)?.toString() ?? null)
  const columns: Column[] = [
    ...countColumns(rows),
    { name: 'position', type: 'bigint', text: toArray(rows, ({ position }) => position) },
    { name: 'group_id', type: 'bigint', text: optional(({ group }) => group) },
    { name: 'quota_tracked', type: 'text', text: optional(({ isTracked }) => isTracked) },
  ]
  return transaction`
    insert into unknown_taken
      (generation, position, kind, name, requests, flushes, group_id, quota_tracked)
    select
      ${generation}, f.position, ${kind}, f.name, f.requests, f.flushes, f.group_id,
      f.quota_tracked::boolean
    from ${unnest(transaction, columns)}`
}
