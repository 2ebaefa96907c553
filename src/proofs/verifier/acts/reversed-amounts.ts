import { createHash } from 'node:crypto'
import type { DetailColumns } from '../../../events/amounts.ts'
import type { Details } from '../../../events/details.ts'
import type { Event } from '../../../events/event.ts'
import { addExact, type Exact } from '../../../events/exact.ts'
import type { Reversal } from '../../../events/types/event-reversed.ts'
import { rowsOf } from '../backdated.ts'
import { combinationOf } from '../details.ts'
import type { AdoptedKey } from './adopted-keys.ts'
import {
  type EntryDetails,
  rowDetailsOf,
  type UnknownEntry,
  type UnknownKind,
  unknownEntriesOf,
} from './unknown-entries.ts'

/**
 * What a reversal takes back, in hex: the hash of what was counted, null if nothing was; and that
 * of the entries for unknown keys, null if there are none.
 */
export type AmountHashes = { counted: string | null; withdrawn: string | null }

/** An event that can be reversed. */
export type Reversible = Extract<Event, { type: Reversal['type'] }>

/** What decides how the entries of an event are taken back. */
export type Circumstances = {
  /** Returns how an adoption before the reversal has counted an entry, if one has. */
  adoptedAs: (entry: UnknownEntry) => AdoptedKey | undefined
  /** True if the quota of a token key was reset after the event, and before the reversal. */
  isReset: (hash: string) => boolean
}

/** Returns what a reversal states. */
export function statedAmounts(reversal: Reversal): AmountHashes {
  const sums = new ReversedAmounts(() => false)
  const { combinations = [], provider_groups, api_keys, keys, unknown } = reversal
  const add = (
    table: Table,
    accounts: readonly (number | string)[],
    columns: readonly number[][],
    { combination, measures = {} }: DetailColumns,
  ) => {
    for (const [i, key] of accounts.entries()) {
      const index = combination?.[i] ?? null
      sums.count(table, key, {
        combination: index === null ? null : combinations[index]!,
        sums: columns.map((column) => column[i]!),
        measures: Object.entries(measures).map(([number, column]) => [Number(number), column[i]!]),
      })
    }
  }
  for (const [table, rows] of [
    ['provider_groups', provider_groups],
    ['api_keys', api_keys],
  ] as const) {
    if (rows) add(table, rows.ids, [rows.requests, rows.successes], rows)
  }
  if (keys) add('keys', keys.hashes, [keys.requests, keys.tokens, keys.quota_used], keys)
  for (const [i, name] of unknown?.api_keys?.names.entries() ?? []) {
    const { requests, successes } = unknown!.api_keys!
    const details = rowDetailsOf(reversal.combinations, unknown!.api_keys!, i)
    sums.withdraw('api_key', name, toRow([requests[i]!, successes[i]!], details))
  }
  for (const [i, hash] of unknown?.keys?.hashes.entries() ?? []) {
    const { requests, tokens } = unknown!.keys!
    const details = rowDetailsOf(reversal.combinations, unknown!.keys!, i)
    sums.withdraw('key', hash, toRow([requests[i]!, tokens[i]!], details))
  }
  return sums.toHashes()
}

/** Returns what a reversal of an event has to state. */
export function amountsToReverse(
  event: Reversible,
  recordedAt: string,
  { adoptedAs, isReset }: Circumstances,
): AmountHashes {
  const sums = new ReversedAmounts(isReset)
  if (event.type === 'BalancesOpened' || event.type === 'TotalsAdjusted') {
    for (const { table, key, values } of rowsOf(event.data, 1)) {
      sums.count(table, key, plain(values))
    }
    return sums.toHashes()
  }
  sums.countFlush(event)
  for (const entry of unknownEntriesOf(event, recordedAt)) {
    const { kind, name, requests, seconds, details } = entry
    const key = adoptedAs(entry)
    const row = toRow([requests, seconds], details)
    if (key === undefined) sums.withdraw(kind, name, row)
    else if (kind === 'api_key') sums.countApiKey(key.id, key.group, row)
    else sums.count('keys', name, { ...row, sums: [...row.sums, key.isTracked ? seconds : 0] })
  }
  return sums.toHashes()
}

type Table = 'provider_groups' | 'api_keys' | 'keys'
type Flush = Extract<Event, { type: 'ApiKeyStatsFlushed' | 'KeyStatsFlushed' }>

/** What is counted for an account. The combination is null if there are no dimensions. */
type Row = {
  combination: string | null
  sums: readonly number[]
  /** Numbers and values. */
  measures: readonly (readonly [number, number])[]
}

const plain = (sums: readonly number[]): Row => ({ combination: null, sums, measures: [] })

/** Returns what an entry for an unknown key would count. */
const toRow = (sums: readonly number[], details: EntryDetails | null): Row => ({
  combination: details?.combination ?? null,
  sums,
  measures: [...(details?.measures.entries() ?? [])],
})

/** Returns what entry i of a flush counts. */
function rowOf(details: Details | undefined, i: number, sums: readonly number[]): Row {
  if (details === undefined) return plain(sums)
  const measures = details.measures.map(({ number, values }) => [number, values[i]!] as const)
  return { combination: combinationOf(details, i), sums, measures }
}

/** Sums of what an event has counted, and of its entries for keys that are still unknown. */
class ReversedAmounts {
  /** By table, account and combination, and by measure. */
  readonly #counted = new Map<string, Exact[]>()
  readonly #withdrawn = new Map<string, Exact[]>()

  constructor(private readonly isReset: Circumstances['isReset']) {}

  withdraw(kind: UnknownKind, name: string, { combination, sums, measures }: Row): void {
    add(this.#withdrawn, [kind, name, combination], sums)
    for (const [number, value] of measures) {
      if (value !== 0) add(this.#withdrawn, [kind, name, combination, number], [value])
    }
  }

  count(table: Table, key: number | string, { combination, sums, measures }: Row): void {
    const isReset = table === 'keys' && this.isReset(String(key))
    add(this.#counted, [table, key, combination], isReset ? sums.with(2, 0) : sums)
    for (const [number, value] of measures) {
      add(this.#counted, [table, key, combination, number], [value])
    }
  }

  /** Counts for an API key, and for its group if that is not 0. */
  countApiKey(id: number, group: number, row: Row): void {
    this.count('api_keys', id, row)
    if (group !== 0) this.count('provider_groups', group, row)
  }

  countFlush(event: Flush): void {
    if (event.type === 'ApiKeyStatsFlushed') {
      const { groups, counts, ids, requests, successes, details } = event.data
      let i = 0
      for (const [run, group] of groups.entries()) {
        for (const end = i + counts[run]!; i < end; i++) {
          if (group === null) continue
          this.countApiKey(ids[i]!, group, rowOf(details, i, [requests[i]!, successes[i]!]))
        }
      }
      return
    }
    const { hashes, requests, tokens, quota_tracked, details } = event.data
    for (const [i, hash] of hashes.entries()) {
      if (quota_tracked[i] === null) continue
      const quota = quota_tracked[i] ? tokens[i]! : 0
      this.count('keys', hash, rowOf(details, i, [requests[i]!, tokens[i]!, quota]))
    }
  }

  toHashes(): AmountHashes {
    const counted = [...this.#counted].filter(([, sums]) => sums.some((sum) => sum !== 0))
    return { counted: hashOf(counted), withdrawn: hashOf([...this.#withdrawn]) }
  }
}

function add(
  rows: Map<string, Exact[]>,
  key: readonly (number | string | null)[],
  values: readonly number[],
): void {
  const text = JSON.stringify(key)
  const sums = rows.get(text) ?? values.map(() => 0)
  rows.set(text, sums)
  for (const [i, value] of values.entries()) sums[i] = addExact(sums[i]!, value)
}

function hashOf(rows: [string, Exact[]][]): string | null {
  if (rows.length === 0) return null
  const hash = createHash('sha256')
  for (const [key, sums] of rows.sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${key} ${sums.join(' ')}\n`)
  }
  return hash.digest('hex')
}
