import type { Amounts } from '../../events/amounts.ts'
import type { ApiKeyFlush } from '../../events/api-key-flush.ts'
import type { Details } from '../../events/details.ts'
import type { DigestValue } from '../../events/digest.ts'
import type { Event } from '../../events/event.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import type { KeyFlush } from '../../events/key-flush.ts'
import { amountsOf } from './adopted.ts'
import { endOfBlock } from './backdated.ts'
import { compareKeys } from './exact-sums.ts'
import type { FoldedParts, RecordedRange, UsageRange } from './folded-parts.ts'
import { quarterHourOf, usageTimeOf } from './usage-time.ts'

const KINDS = ['api_key', 'provider_group', 'key'] as const
type Kind = (typeof KINDS)[number]

/** The tables of what flushes with dimensions or measures count. */
export type DetailTable = `${Kind}_measures` | `${Kind}_parts` | `${Kind}_backdated_parts`

/** The provider group that stands for all of them. */
const ALL_GROUPS = 0

type Key = number | string
/** Sums of a part, and the measures: the n-th is the one with number n. */
type Part = { sums: Exact[]; measures: Exact[] }
type PlacedPart = Part & { key: Key; bucket: string; position: number; combination: string }

/** What one row of the event at a position counts in a bucket, with dimensions or measures. */
export type CountedPart = {
  kind: Kind
  key: Key
  position: number
  bucket: string
  combination: string
  sums: readonly number[]
  /** By number. */
  measures: readonly number[]
}

/** Receives every part as it is folded. */
export interface PartCounting {
  addPart(part: CountedPart): void
}

/**
 * Folds the dimensions and measures of a shard's events. Like `ShardFold`, of which it is a part,
 * it shares no code with the folds of the service.
 */
export class DetailFold {
  readonly #measures = byKind(() => new Map<Key, Exact[]>())
  readonly #parts = byKind(() => new Map<string, PlacedPart>())
  readonly #backdated = byKind(() => new Map<string, PlacedPart>())

  constructor(private readonly folded: FoldedParts) {}

  /** Who else receives what is counted. */
  #counting: PartCounting | null = null

  add(
    event: Event | null,
    position: number,
    recordedAt: string,
    counting: PartCounting | null,
  ): void {
    this.#counting = counting
    if (event?.type === 'ApiKeyStatsFlushed' && event.data.details) {
      this.#addApiKeys(event.data, event.data.details, position, recordedAt)
    }
    if (event?.type === 'KeyStatsFlushed' && event.data.details) {
      this.#addKeys(event.data, event.data.details, position, recordedAt)
    }
    // A reversal takes back what it states in the bucket of the flush that it names.
    if (event?.type === 'EventReversed') {
      this.#addAmounts(event.data, -1, quarterHourOf(event.data.at), position)
    }
    if (event?.type === 'UnknownKeysAdopted' && event.data.combinations) {
      for (const [time, amounts] of amountsOf(event.data)) {
        this.#addAmounts(amounts, 1, time, position)
      }
    }
  }

  /** Adds the amounts of an act in a bucket; `sign` -1 takes them back. */
  #addAmounts(amounts: Amounts, sign: 1 | -1, bucket: string, position: number): void {
    const { combinations } = amounts
    if (combinations === undefined) return
    const place = { bucket, position, isTimely: false, flushedAt: position }
    for (const { kind, accounts, sums, details } of columnsOf(amounts)) {
      for (const [i, key] of accounts.entries()) {
        const index = details.combination?.[i] ?? null
        if (index === null) continue
        const measures: number[] = []
        for (const [number, column] of Object.entries(details.measures ?? {})) {
          if (column[i] === 0) continue
          while (measures.length <= Number(number)) measures.push(0)
          measures[Number(number)] = sign * column[i]!
        }
        const values = sums.map((column) => sign * column[i]! + 0)
        const row = { combination: combinations[index]!, sums: values, measures }
        this.#count(kind, key, row, place)
        if (kind === 'provider_group') this.#countPart(kind, ALL_GROUPS, row, place)
      }
    }
  }

  /** Returns the totals of an account's measures by number. */
  measuresOf(kind: Kind, key: Key): readonly Exact[] {
    return this.#measures[kind].get(key) ?? []
  }

  /** The rows of a table as they stand, in the order of its digest. */
  *rows(
    table: DetailTable,
    { from = '', before = '9', after, through }: UsageRange & RecordedRange,
  ): Iterable<DigestValue[]> {
    const kind = KINDS.find((name) => table.startsWith(`${name}_`))!
    if (table === `${kind}_measures`) {
      for (const [key, measures] of [...this.#measures[kind]].sort(([a], [b]) => compareKeys(a, b)))
        yield [key, measures]
      return
    }
    const isBackdated = table === `${kind}_backdated_parts`
    const parts = [...(isBackdated ? this.#backdated : this.#parts)[kind].values()]
      .filter(({ bucket, position }) =>
        isBackdated ? position > after && position <= through : bucket >= from && bucket < before,
      )
      .sort(comparePlaces)
    for (const { key, bucket, position, combination, sums, measures } of parts) {
      yield [key, bucket, ...(isBackdated ? [position] : []), combination, ...sums, measures]
    }
  }

  /** The number of rows of backdated parts. */
  get backdatedRows(): number {
    return KINDS.reduce((rows, kind) => rows + this.#backdated[kind].size, 0)
  }

  /** Drops parts of 15-minute buckets before `bucket`, which no later attestation needs. */
  forgetUsageBefore(bucket: string): void {
    for (const kind of KINDS) dropFrom(this.#parts[kind], (part) => part.bucket < bucket)
  }

  /** Drops backdated parts that were recorded at or before `position`. */
  forgetBackdatedThrough(position: number): void {
    for (const kind of KINDS) dropFrom(this.#backdated[kind], (part) => part.position <= position)
  }

  #addApiKeys(flush: ApiKeyFlush, details: Details, position: number, recordedAt: string): void {
    const place = placeOf(flush.counted_at, position, recordedAt)
    let i = 0
    for (const [run, group] of flush.groups.entries()) {
      for (const end = i + flush.counts[run]!; i < end; i++) {
        if (group === null) continue
        const row = rowOf(details, i, [flush.requests[i]!, flush.successes[i]!])
        this.#count('api_key', flush.ids[i]!, row, place)
        if (group === 0) continue
        this.#count('provider_group', group, row, place)
        this.#countPart('provider_group', ALL_GROUPS, row, place)
      }
    }
  }

  #addKeys(flush: KeyFlush, details: Details, position: number, recordedAt: string): void {
    const place = placeOf(flush.counted_at, position, recordedAt)
    for (const [i, hash] of flush.hashes.entries()) {
      const tracked = flush.quota_tracked[i]
      if (tracked === null) continue
      const tokens = flush.tokens[i]!
      const row = rowOf(details, i, [flush.requests[i]!, tokens, tracked ? tokens : 0])
      this.#count('key', hash, row, place)
    }
  }

  #count(kind: Kind, key: Key, row: Row, place: Place): void {
    const { combination, sums, measures } = row
    const { bucket, flushedAt: position } = place
    this.#counting?.addPart({ kind, key, position, bucket, combination, sums, measures })
    if (this.folded.counters && row.measures.length > 0) {
      const measures = this.#measures[kind].get(key) ?? []
      this.#measures[kind].set(key, measures)
      addInto(measures, row.measures)
    }
    this.#countPart(kind, key, row, place)
  }

  #countPart(kind: Kind, key: Key, row: Row, { bucket, position, isTimely }: Place): void {
    if (!this.folded.usage) return
    if (row.sums.every((value) => value === 0) && row.measures.length === 0) return
    const parts = (isTimely ? this.#parts : this.#backdated)[kind]
    const at = isTimely ? -1 : position
    const name = JSON.stringify([key, bucket, at, row.combination])
    const part = parts.get(name) ?? {
      ...{ key, bucket, position: at, combination: row.combination },
      ...{ sums: [], measures: [] },
    }
    parts.set(name, part)
    addInto(part.sums, row.sums)
    addInto(part.measures, row.measures)
  }
}

/** The amounts of an act, with their details. */
function columnsOf({ provider_groups, api_keys, keys }: Amounts) {
  const rated = (kind: 'provider_group' | 'api_key', rows: Amounts['api_keys']) =>
    rows === undefined
      ? []
      : [
          {
            kind,
            accounts: rows.ids as Key[],
            sums: [rows.requests, rows.successes],
            details: rows,
          },
        ]
  const ofKeys =
    keys === undefined
      ? []
      : [
          {
            ...{ kind: 'key' as const, accounts: keys.hashes as Key[], details: keys },
            sums: [keys.requests, keys.tokens, keys.quota_used],
          },
        ]
  return [...rated('provider_group', provider_groups), ...rated('api_key', api_keys), ...ofKeys]
}

/** Where a row counts: its bucket, and the position under which it is kept if it is backdated. */
type Place = { bucket: string; position: number; isTimely: boolean; flushedAt: number }

function placeOf(countedAt: number | undefined, position: number, recordedAt: string): Place {
  const time = usageTimeOf(countedAt, recordedAt)
  const isTimely = time === recordedAt
  const bucket = quarterHourOf(time)
  return { bucket, position: endOfBlock(position), isTimely, flushedAt: position }
}

/** What one entry counts. Measures end with the last that is not 0. */
type Row = { combination: string; sums: number[]; measures: number[] }

function rowOf(details: Details, i: number, sums: number[]): Row {
  return { combination: combinationOf(details, i), sums, measures: measuresOf(details, i) }
}

/** Returns the measures of entry i by number. They end with the last that is not 0. */
export function measuresOf(details: Details, i: number): number[] {
  const measures: number[] = []
  for (const { number, values: column } of details.measures) {
    if (column[i] === 0) continue
    while (measures.length <= number) measures.push(0)
    measures[number] = column[i]!
  }
  return measures
}

/** Returns the combination that entry i counts with: `{"model":"gpt-5"}`. */
export function combinationOf({ dimensions, counted, combination }: Details, i: number): string {
  const values = counted[combination[i]!]!
  const named = dimensions.flatMap((name, j) =>
    values[j] === null ? [] : [`${JSON.stringify(name)}:${JSON.stringify(values[j])}`],
  )
  return `{${named.join(',')}}`
}

function addInto(sums: Exact[], values: readonly number[]): void {
  for (const [i, value] of values.entries()) sums[i] = addExact(sums[i] ?? 0, value)
}

const byKind = <Value>(create: () => Value): Record<Kind, Value> => ({
  ...{ api_key: create(), provider_group: create(), key: create() },
})

function dropFrom(parts: Map<string, PlacedPart>, isDropped: (part: PlacedPart) => boolean): void {
  for (const [name, part] of parts) if (isDropped(part)) parts.delete(name)
}

function comparePlaces(a: PlacedPart, b: PlacedPart): number {
  return (
    compareKeys(a.key, b.key) ||
    compareKeys(a.bucket, b.bucket) ||
    a.position - b.position ||
    compareKeys(a.combination, b.combination)
  )
}
