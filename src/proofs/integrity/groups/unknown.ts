import type { DigestValue } from '../../../events/digest.ts'
import type { Event } from '../../../events/event.ts'
import type { Transaction } from '../../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../../platform/postgres/timestamp.ts'
import {
  type EntryDetails,
  rowDetailsOf,
  type UnknownEntry,
  unknownEntriesOf,
} from '../../verifier/acts/unknown-entries.ts'
import { compareKeys } from '../../verifier/exact-sums.ts'
import { quarterHourOf } from '../../verifier/usage-time.ts'
import { compareRows, type RowRange } from '../compare.ts'
import type { Problem } from '../problem.ts'
import type { ProjectionTable, Target } from '../tables.ts'

const NAMES: ProjectionTable = {
  name: 'unknown_keys',
  key: ['kind', 'name'],
  values: ['number', 'requests', 'flushes', 'first_seen', 'last_seen'],
  isSharded: true,
}
const USAGE: ProjectionTable = {
  name: 'unknown_usage',
  key: ['kind', 'name', 'quarter'],
  values: ['requests', 'seconds', 'last_accessed_at', 'flushes'],
  isSharded: true,
}
const PARTS: ProjectionTable = {
  name: 'unknown_parts',
  key: ['kind', 'name', 'quarter', 'combination'],
  values: ['requests', 'seconds', 'measures'],
  isSharded: true,
}
const TAKEN: ProjectionTable = {
  name: 'unknown_taken',
  key: ['position', 'kind', 'name'],
  values: ['requests', 'flushes', 'group_id', 'quota_tracked'],
  isSharded: false,
}

/** The tables of unknown keys. */
export const UNKNOWN_TABLES = [NAMES, USAGE, PARTS, TAKEN]

/** Names of each kind that a shard keeps apart. */
const MAX_NAMES = 100_000

type Name = { number: number; requests: bigint; flushes: number; first: string; last: string }
type Used = { requests: bigint; seconds: bigint; accessed: number; flushes: number }
type Part = { requests: bigint; seconds: bigint; measures: bigint[] }
type Taken = { requests: bigint; flushes: number; group: number | null; tracked: boolean | null }

/** The rows of unknown keys that the events of a shard must have made. */
export class UnknownRows {
  readonly #names = new Map<string, Name>()
  readonly #usage = new Map<string, Used>()
  readonly #parts = new Map<string, Part>()
  readonly #taken = new Map<string, Taken>()

  add(event: Event, position: number, recordedAt: string): void {
    const entries = [...unknownEntriesOf(event, recordedAt)]
    const named = new Set<string>()
    for (const entry of entries) {
      const name = this.#nameOf(entry, recordedAt)
      const isNew = !named.has(`${entry.kind} ${entry.name}`)
      named.add(`${entry.kind} ${entry.name}`)
      const row = this.#names.get(keyOf(entry.kind, name))!
      row.requests += BigInt(entry.requests)
      row.last = recordedAt
      if (isNew) row.flushes++
      if (name !== '') this.#use({ ...entry, name }, isNew ? 1 : 0)
    }
    if (event.type === 'EventReversed') {
      const { unknown, at, combinations } = event.data
      const seen = new Set<string>()
      for (const [i, name] of unknown?.api_keys?.names.entries() ?? []) {
        const { requests, successes } = unknown!.api_keys!
        const details = rowDetailsOf(combinations, unknown!.api_keys!, i)
        const taken = entryOf('api_key', name, at, [requests[i]!, successes[i]!], details)
        this.#take(taken, position, countOnce(seen, taken), null, null)
      }
      for (const [i, name] of unknown?.keys?.hashes.entries() ?? []) {
        const { requests, tokens } = unknown!.keys!
        const details = rowDetailsOf(combinations, unknown!.keys!, i)
        const taken = entryOf('key', name, at, [requests[i]!, tokens[i]!], details)
        this.#take(taken, position, countOnce(seen, taken), null, null)
      }
    }
    if (event.type === 'UnknownKeysAdopted') {
      const { api_keys, keys, combinations } = event.data
      for (const [i, name] of api_keys?.names.entries() ?? []) {
        const { times, requests, successes, flushes, groups } = api_keys!
        const details = rowDetailsOf(combinations, api_keys!, i)
        const taken = entryOf('api_key', name, times[i]!, [requests[i]!, successes[i]!], details)
        this.#take(taken, position, flushes[i]!, groups[i]!, null)
      }
      for (const [i, name] of keys?.hashes.entries() ?? []) {
        const { times, requests, tokens, flushes, quota_used } = keys!
        const details = rowDetailsOf(combinations, keys!, i)
        const taken = entryOf('key', name, times[i]!, [requests[i]!, tokens[i]!], details)
        const isTracked = tokens[i] === quota_used[i]
        this.#take(taken, position, flushes[i]!, null, isTracked)
      }
    }
  }

  async compare(sql: Transaction, target: Target): Promise<Problem[]> {
    const names = sorted(this.#names, ({ number, requests, flushes, first, last }) => [
      ...[number, requests, flushes],
      ...[first, last],
    ])
    const usage = sorted(this.#usage, ({ requests, seconds, accessed, flushes }) => [
      ...[requests, seconds, accessed, flushes],
    ])
    const parts = sorted(this.#parts, ({ requests, seconds, measures }) => [
      ...[requests, seconds],
      measures,
    ])
    const forgotten = await readForgotten(sql, target)
    const taken = sorted(this.#taken, ({ requests, flushes, group, tracked }) => [
      ...[requests, flushes, group],
      tracked === null ? null : String(tracked),
    ])
    return [
      ...(await compareRows(sql, NAMES, target, names)),
      ...(await compareRows(sql, USAGE, target, ...forgotten.without(usage))),
      ...(await compareRows(sql, PARTS, target, ...forgotten.without(parts))),
      ...(target.shard === 0 ? await compareRows(sql, TAKEN, target, taken) : []),
    ]
  }

  /** Returns the name of the row that counts an entry: an empty one if it is not kept apart. */
  #nameOf({ kind, name }: UnknownEntry, recordedAt: string): string {
    const others = this.#names.get(keyOf(kind, '')) ?? emptyName(0, recordedAt)
    this.#names.set(keyOf(kind, ''), others)
    others.last = recordedAt
    if (this.#names.has(keyOf(kind, name))) return name
    if (others.number === MAX_NAMES) return ''
    others.number++
    this.#names.set(keyOf(kind, name), emptyName(others.number, recordedAt))
    return name
  }

  #use(entry: UnknownEntry, flushes: number): void {
    const { kind, name, time, requests, seconds, accessed } = entry
    if (entry.details !== null) this.#usePart(entry, entry.details)
    const key = JSON.stringify([kind, name, quarterHourOf(time)])
    const row = this.#usage.get(key) ?? { requests: 0n, seconds: 0n, accessed: 0, flushes: 0 }
    this.#usage.set(key, row)
    row.requests += BigInt(requests)
    row.seconds += BigInt(seconds)
    row.accessed = Math.max(row.accessed, accessed)
    row.flushes += flushes
  }

  #usePart({ kind, name, time, requests, seconds }: UnknownEntry, details: EntryDetails): void {
    const key = JSON.stringify([kind, name, quarterHourOf(time), details.combination])
    const row = this.#parts.get(key) ?? { requests: 0n, seconds: 0n, measures: [] }
    this.#parts.set(key, row)
    row.requests += BigInt(requests)
    row.seconds += BigInt(seconds)
    for (const [i, value] of details.measures.entries()) {
      row.measures[i] = (row.measures[i] ?? 0n) + BigInt(value)
    }
  }

  #take(
    entry: UnknownEntry,
    position: number,
    flushes: number,
    group: number | null,
    tracked: boolean | null,
  ): void {
    const { requests, seconds, details } = entry
    const negated = details && { ...details, measures: details.measures.map((value) => -value) }
    this.#use({ ...entry, requests: -requests, seconds: -seconds, details: negated }, -flushes)
    const key = JSON.stringify([position, entry.kind, entry.name])
    const row = this.#taken.get(key) ?? { requests: 0n, flushes: 0, group, tracked }
    this.#taken.set(key, row)
    row.requests += BigInt(requests)
    row.flushes += flushes
    if (tracked === false) row.tracked = false
  }
}

/**
 * Rows of keys that some shard saw before a time: these may be gone if they count before it, and
 * are not compared. What is left of them is not read.
 */
type Forgotten = {
  without(rows: DigestValue[][]): [rows: DigestValue[][], range?: RowRange]
}

async function readForgotten(sql: Transaction, { generation }: Target): Promise<Forgotten> {
  const [row] = await sql<{ before: string }[]>`
    select ${sql.unsafe(toMicroseconds('c.unknown_before'))} as before
    from checkpoints c
    where c.shard = 0 and c.projection = 'bookkeeping' and c.generation = ${generation}
      and isfinite(c.unknown_before)`
  if (row === undefined) return { without: (rows) => [rows] }
  const { before } = row
  const names = await sql<{ kind: string; name: string }[]>`
    select distinct k.kind, k.name
    from unknown_keys k
    where k.generation = ${generation} and k.first_seen < ${before}::timestamptz`
  const old = new Set(names.map(({ kind, name }) => keyOf(kind, name)))
  const condition = `not (t.quarter < $3::timestamptz and exists (
    select
    from unknown_keys k
    where k.generation = t.generation and k.kind = t.kind and k.name = t.name
      and k.first_seen < $3::timestamptz
  ))`
  const isCompared = ([kind, name, quarter]: DigestValue[]) =>
    String(quarter) >= before || !old.has(keyOf(String(kind), String(name)))
  return { without: (rows) => [rows.filter(isCompared), { condition, parameters: [before] }] }
}

const keyOf = (kind: string, name: string) => JSON.stringify([kind, name])

const emptyName = (number: number, at: string): Name => ({
  ...{ number, requests: 0n, flushes: 0, first: at, last: at },
})

const entryOf = (
  kind: UnknownEntry['kind'],
  name: string,
  time: string,
  [requests, seconds]: [number, number],
  details: EntryDetails | null,
): UnknownEntry => ({ kind, name, time, requests, seconds, accessed: 0, details })

/** Returns 1 for the first row of a name, else 0: a sum that is too large for one has several. */
function countOnce(seen: Set<string>, { kind, name }: UnknownEntry): number {
  const key = keyOf(kind, name)
  const isFirst = !seen.has(key)
  seen.add(key)
  return isFirst ? 1 : 0
}

/** Returns rows with their keys in front, in the order of the keys. */
function sorted<Row>(
  rows: ReadonlyMap<string, Row>,
  values: (row: Row) => DigestValue[],
): DigestValue[][] {
  return [...rows]
    .map(([key, row]) => [...(JSON.parse(key) as (string | number)[]), ...values(row)])
    .sort((a, b) => {
      const at = a.findIndex((value, i) => value !== b[i])
      return compareKeys(a[at] as string | number, b[at] as string | number)
    })
}
