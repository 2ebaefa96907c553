import { createHash, type Hash } from 'node:crypto'
import type { Amounts } from '../../../events/amounts.ts'
import type { Event } from '../../../events/event.ts'
import type { Reversal } from '../../../events/types/event-reversed.ts'
import { rowsOf } from '../backdated.ts'
import type { CatalogTable } from '../change-catalog.ts'
import { ExactSums } from '../exact-sums.ts'
import type { AdoptedKey } from './adopted-keys.ts'
import { type UnknownEntry, type UnknownKind, unknownEntriesOf } from './unknown-entries.ts'

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
  const sums = new ReversedAmounts()
  sums.countAmounts(reversal, () => false)
  const { api_keys, keys } = reversal.unknown ?? {}
  for (const [i, name] of api_keys?.names.entries() ?? []) {
    sums.withdraw('api_key', name, [api_keys!.requests[i]!, api_keys!.successes[i]!])
  }
  for (const [i, hash] of keys?.hashes.entries() ?? []) {
    sums.withdraw('key', hash, [keys!.requests[i]!, keys!.tokens[i]!])
  }
  return sums.toHashes()
}

/** Returns what a reversal of an event has to state. */
export function amountsToReverse(
  event: Reversible,
  recordedAt: string,
  { adoptedAs, isReset }: Circumstances,
): AmountHashes {
  const sums = new ReversedAmounts()
  switch (event.type) {
    case 'BalancesOpened':
    case 'TotalsAdjusted':
      sums.countAmounts(event.data, isReset)
      return sums.toHashes()
    case 'ApiKeyStatsFlushed':
    case 'KeyStatsFlushed':
      sums.countFlush(event, isReset)
      for (const entry of unknownEntriesOf(event, recordedAt)) {
        const { kind, name, requests, seconds } = entry
        const key = adoptedAs(entry)
        if (key === undefined) sums.withdraw(kind, name, [requests, seconds])
        else sums.countAdopted(entry, key, isReset)
      }
      return sums.toHashes()
  }
}

/** Sums of what an event has counted, and of its entries for keys that are still unknown. */
class ReversedAmounts {
  readonly #counted: Record<CatalogTable, ExactSums<number | string>> = {
    provider_groups: new ExactSums(),
    api_keys: new ExactSums(),
    keys: new ExactSums(),
  }
  readonly #withdrawn: Record<UnknownKind, ExactSums<string>> = {
    api_key: new ExactSums(),
    key: new ExactSums(),
  }

  withdraw(kind: UnknownKind, name: string, values: number[]): void {
    this.#withdrawn[kind].add(name, values)
  }

  countAmounts(amounts: Amounts, isReset: Circumstances['isReset']): void {
    for (const { table, key, values } of rowsOf(amounts, 1)) {
      if (table === 'keys') this.#countKey(String(key), values, isReset)
      else this.#counted[table].add(key, values)
    }
  }

  countFlush(
    event: Reversible & { type: 'ApiKeyStatsFlushed' | 'KeyStatsFlushed' },
    isReset: Circumstances['isReset'],
  ): void {
    if (event.type === 'ApiKeyStatsFlushed') {
      const { groups, counts, ids, requests, successes } = event.data
      let i = 0
      for (const [run, group] of groups.entries()) {
        for (const end = i + counts[run]!; i < end; i++) {
          if (group === null || requests[i] === 0) continue
          this.#countApiKey(ids[i]!, group, [requests[i]!, successes[i]!])
        }
      }
      return
    }
    const { hashes, requests, tokens, quota_tracked } = event.data
    for (const [i, hash] of hashes.entries()) {
      if (quota_tracked[i] === null) continue
      const quota = quota_tracked[i] ? tokens[i]! : 0
      this.#countKey(hash, [requests[i]!, tokens[i]!, quota], isReset)
    }
  }

  /** Counts an entry as an adoption has. */
  countAdopted(
    { kind, name, requests, seconds }: UnknownEntry,
    { id, group, isTracked }: AdoptedKey,
    isReset: Circumstances['isReset'],
  ): void {
    if (kind === 'api_key') this.#countApiKey(id, group, [requests, seconds])
    else this.#countKey(name, [requests, seconds, isTracked ? seconds : 0], isReset)
  }

  toHashes(): AmountHashes {
    const counted = this.#hash(this.#counted, (sums) => sums.some((sum) => sum !== 0))
    return { counted, withdrawn: this.#hash(this.#withdrawn, () => true) }
  }

  #countApiKey(id: number, group: number, values: number[]): void {
    this.#counted.api_keys.add(id, values)
    if (group !== 0) this.#counted.provider_groups.add(group, values)
  }

  #countKey(hash: string, values: number[], isReset: Circumstances['isReset']): void {
    this.#counted.keys.add(hash, isReset(hash) ? values.with(2, 0) : values)
  }

  #hash(
    tables: Record<string, ExactSums<number | string>>,
    isIncluded: (sums: readonly unknown[]) => boolean,
  ): string | null {
    let hash: Hash | null = null
    for (const [table, rows] of Object.entries(tables)) {
      for (const [key, ...sums] of rows.rows()) {
        if (!isIncluded(sums)) continue
        hash ??= createHash('sha256')
        hash.update(`${JSON.stringify([table, key, ...sums.map(String)])}\n`)
      }
    }
    return hash?.digest('hex') ?? null
  }
}
