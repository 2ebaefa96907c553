import type { Counted, Effect } from './books.ts'
import type { Measures } from './details.ts'
import { live, type Model } from './model.ts'
import type { ExactRow } from './model-reads.ts'
import type { Entry, Kind } from './naive-body.ts'
import type { CatalogPut } from './naive-catalog.ts'

/** An entry of a flush for a key that the catalog did not have. */
type Unknown = {
  kind: Kind
  /** `7`, or `ext:` and an external id; or a hash. */
  name: string
  /** Requests, and successes or tokens. */
  sums: [bigint, bigint]
  last: bigint
  measures: Measures
  isAdopted: boolean
}

/** The expected answer to an adoption, and whether it changes the catalog. */
export type Adopted = {
  isChange: boolean
  /** Null if there is nothing to count. */
  counted: { api_keys: bigint; keys: bigint; requests: bigint } | null
}

/** The entries for unknown keys, by the flush that has them. */
export class NaiveUnknown {
  readonly #entries = new Map<Counted, Unknown[]>()

  constructor(private readonly model: Model) {}

  note(kind: Kind, { key, name, numbers, details }: Entry, flush: Counted): void {
    const entries = this.#entries.get(flush) ?? []
    this.#entries.set(flush, entries)
    const id = name === null ? null : this.model.apiKeyIdOf(name)
    entries.push({
      kind,
      name: name !== null && id === null ? `ext:${name}` : String(id ?? key),
      sums: [numbers[0]!, numbers[1]!],
      last: numbers[2] ?? 0n,
      measures: details?.measures ?? new Map(),
      isAdopted: false,
    })
  }

  /** Puts keys into the catalog, and counts their entries. Null if external ids conflict. */
  adopt(put: CatalogPut): Adopted | null {
    const before = this.#catalog()
    if (typeof this.model.putCatalog(put) === 'string') return null
    const isChange = this.#catalog() !== before
    const accounts = { api_keys: new Set<string>(), keys: new Set<string>() }
    let requests = 0n
    for (const [flush, entry] of this.#open()) {
      const effects = this.#effectsOf(entry, put)
      if (effects === null) continue
      accounts[entry.kind === 'keys' ? 'keys' : 'api_keys'].add(String(effects[0]!.id))
      requests += entry.sums[0]
      if (entry.kind === 'keys') this.#access(entry.name, flush.quarter)
      flush.effects.push(...effects)
      this.model.books.apply(effects, 1n)
      this.model.quotas.note(effects, flush.effectiveMs)
      this.model.usage.note(effects, flush.quarter!)
      entry.isAdopted = true
    }
    const { api_keys, keys } = accounts
    if (api_keys.size + keys.size === 0) return { isChange, counted: null }
    return {
      isChange,
      counted: { api_keys: BigInt(api_keys.size), keys: BigInt(keys.size), requests },
    }
  }

  /** Returns the items of GET /admin/unknown-keys by name, without the times. */
  listed(kind: Kind): Map<string, ExactRow> {
    const rows = new Map<string, ExactRow>()
    const flushes = new Map<string, Set<Counted>>()
    for (const [flush, entry] of this.#open()) {
      const { name } = entry
      if (entry.kind !== kind) continue
      const external = name.startsWith('ext:') ? name.slice('ext:'.length) : null
      const id = external === null ? BigInt(kind === 'keys' ? 0 : name) : null
      const key = kind === 'keys' ? { token_hash: name } : { id, external_id: external }
      const requests = ((rows.get(name)?.requests as bigint) ?? 0n) + entry.sums[0]
      flushes.set(name, (flushes.get(name) ?? new Set()).add(flush))
      rows.set(name, { ...key, requests, flushes: BigInt(flushes.get(name)!.size) })
    }
    return rows
  }

  /** Entries that no adoption has counted, of flushes that are not reversed. */
  *#open(): Generator<[Counted, Unknown]> {
    for (const [flush, entries] of this.#entries) {
      if (flush.isReversed) continue
      for (const entry of entries) if (!entry.isAdopted) yield [flush, entry]
    }
  }

  /** What an adoption of these keys counts for an entry; null if they do not include its key. */
  #effectsOf({ kind, name, sums, measures }: Unknown, { api_keys = [], keys = [] }: CatalogPut) {
    const { model } = this
    if (kind === 'keys') {
      if (!keys.some(({ token_hash }) => token_hash === name)) return null
      const isTracked = model.keys.get(name)!.quota_limit >= 0
      return [
        { kind: 'keys', id: name, sums: [...sums, isTracked ? sums[1] : 0n], measures },
      ] as Effect[]
    }
    const isExternal = name.startsWith('ext:')
    const id = isExternal ? model.apiKeyIdOf(name.slice('ext:'.length)) : Number(name)
    const isNamed = api_keys.some(
      (row) => id !== null && (row.id ?? model.apiKeyIdOf(row.external_id!)) === id,
    )
    if (!isNamed) return null
    const { group_id } = model.apiKeys.get(id!)!
    const effects: Effect[] = [{ kind: 'apiKeys', id: id!, sums, measures }]
    const group = { kind: 'groups', id: group_id, sums, measures } as const
    if (live(model.groups.get(group_id))) effects.push(group)
    return effects
  }

  /** A last access is the greatest of the quarter hour: one that was reversed can't be taken out. */
  #access(name: string, quarter: number | undefined): void {
    const key = this.model.keys.get(name)!
    for (const [flush, entries] of this.#entries) {
      if (flush.quarter !== quarter) continue
      for (const entry of entries) {
        if (entry.kind === 'keys' && entry.name === name && entry.last > key.last) {
          key.last = entry.last
        }
      }
    }
  }

  #catalog(): string {
    const { apiKeys, keys } = this.model
    const apiKeyTexts = [...apiKeys].map(([id, { name, ended, external_id, group_id }]) => [
      ...[id, name, ended, external_id, group_id],
    ])
    const keyTexts = [...keys].map(([hash, { name, ended, quota_limit }]) => [
      ...[hash, name, ended, quota_limit],
    ])
    return JSON.stringify([apiKeyTexts, keyTexts])
  }
}
