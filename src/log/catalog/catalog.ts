import type { ApiKeys } from '../../events/api-key-flush.ts'
import type {
  ApiKeyRow,
  CatalogChange,
  KeyRow,
  MeasureRow,
  ProviderGroupRow,
} from '../../events/catalog-change.ts'
import type { Declared } from '../../events/details.ts'
import type { Attributor } from '../../events/flush.ts'
import type { RuleRow } from '../../events/rule.ts'
import { ExternalIds } from './external-ids.ts'
import { GroupCache } from './group-cache.ts'

/** The position of a catalog that has only a part of a change. No log has this position. */
const INCOMPLETE = -2

/**
 * The catalog in memory: the fold of all CatalogChanged events through one position of shard 0. It
 * attributes flushes, and catalog changes are decided by it. Owned by one process; `refreshCatalog`
 * updates it.
 */
export class Catalog implements Attributor, ApiKeys, Declared {
  /** Position on shard 0 of the last change folded; -1 before the first, INCOMPLETE during one. */
  position = -1

  /** SHA-256 of that change's payload, in hex; null before the first. */
  sha256: string | null = null

  /** Resolves after the newest refresh; `refreshCatalog` owns it. */
  refreshed: Promise<void> = Promise.resolve()

  readonly providerGroups = new Map<number, ProviderGroupRow>()
  readonly apiKeys = new Map<number, ApiKeyRow>()
  readonly keys = new Map<string, KeyRow>()

  /** Names of the dimensions that flushes may use. */
  readonly dimensions = new Set<string>()

  /** The measures that flushes may use, by name. */
  readonly measures = new Map<string, MeasureRow>()

  /** What should not happen, by name. */
  readonly rules = new Map<string, RuleRow>()

  /** The numbers of all measures, also of those that were retired. */
  readonly measureNumbers = new Map<string, number>()

  /** The external ids of all rows, also of those that were retired. */
  readonly externalIds = { providerGroups: new ExternalIds(), apiKeys: new ExternalIds() }

  /** Keys that were retired, and not added again since. */
  readonly retired = { apiKeys: new Set<number>(), keys: new Set<string>() }

  readonly #groups = new GroupCache((apiKeyId) => {
    const key = this.apiKeys.get(apiKeyId)
    if (key === undefined) return null
    return this.providerGroups.has(key.group_id) ? key.group_id : 0
  })

  /**
   * Returns the group that counts for an API key: 0 if it has none (or an unknown one), null if the
   * key is unknown.
   */
  readonly groupOf = (apiKeyId: number): number | null => this.#groups.get(apiKeyId)

  /** Returns the id of the API key with an external id, or null if there is none. */
  readonly apiKeyIdOf = this.externalIds.apiKeys.idOf

  /** Returns the external id of an API key, or null if it has none. */
  readonly externalIdOf = this.externalIds.apiKeys.externalIdOf

  /** True if a dimension is declared. */
  readonly hasDimension = (name: string): boolean => this.dimensions.has(name)

  /** Returns the number of a measure, or null if it is not declared. */
  readonly measureNumberOf = (name: string): number | null =>
    this.measures.get(name)?.number ?? null

  /** Returns whether a key's tokens use up a quota, or null if the key is unknown. */
  readonly quotaTrackedOf = (tokenHash: string): boolean | null => {
    const key = this.keys.get(tokenHash)
    return key === undefined ? null : key.quota_limit >= 0
  }

  /** Forgets everything that was folded. */
  clear(): void {
    this.providerGroups.clear()
    this.apiKeys.clear()
    this.keys.clear()
    this.dimensions.clear()
    this.measures.clear()
    this.rules.clear()
    this.measureNumbers.clear()
    for (const ids of Object.values(this.externalIds)) ids.clear()
    for (const keys of Object.values(this.retired)) keys.clear()
    this.#groups.clear()
    this.position = -1
    this.sha256 = null
  }

  /**
   * Folds the change at `position` of shard 0, whose payload has this hash. Does nothing if it was
   * folded before.
   */
  fold(position: number, sha256: string, change: CatalogChange): void {
    if (position <= this.position) return
    this.#apply(change)
    this.#settle(position, sha256)
  }

  /**
   * Folds a change in parts (see `cutChange`). Until the last one has arrived, the log refuses what
   * this catalog attributes. If `parts` fails, the next refresh starts from scratch.
   */
  async foldParts(
    position: number,
    sha256: string,
    parts: AsyncIterable<CatalogChange>,
  ): Promise<void> {
    this.position = INCOMPLETE
    for await (const part of parts) this.#apply(part)
    this.#settle(position, sha256)
  }

  /** True while a change has been folded in part. */
  get isIncomplete(): boolean {
    return this.position === INCOMPLETE
  }

  #apply({ upserted, ended }: CatalogChange): void {
    for (const { provider_groups = [], api_keys = [] } of [upserted, ended]) {
      for (const row of provider_groups) this.externalIds.providerGroups.add(row)
      for (const row of api_keys) this.externalIds.apiKeys.add(row)
    }
    for (const row of upserted.provider_groups ?? []) this.providerGroups.set(row.id, row)
    for (const row of upserted.api_keys ?? []) {
      this.apiKeys.set(row.id, row)
      this.retired.apiKeys.delete(row.id)
    }
    for (const row of upserted.keys ?? []) {
      this.keys.set(row.token_hash, row)
      this.retired.keys.delete(row.token_hash)
    }
    for (const { id } of ended.provider_groups ?? []) this.providerGroups.delete(id)
    for (const { id } of ended.api_keys ?? []) {
      this.apiKeys.delete(id)
      this.retired.apiKeys.add(id)
    }
    for (const { token_hash } of ended.keys ?? []) {
      this.keys.delete(token_hash)
      this.retired.keys.add(token_hash)
    }
    for (const { name } of upserted.dimensions ?? []) this.dimensions.add(name)
    for (const row of upserted.measures ?? []) {
      this.measures.set(row.name, row)
      this.measureNumbers.set(row.name, row.number)
    }
    for (const row of upserted.rules ?? []) this.rules.set(row.name, row)
    for (const { name } of ended.rules ?? []) this.rules.delete(name)
    for (const { name } of ended.dimensions ?? []) this.dimensions.delete(name)
    for (const { name } of ended.measures ?? []) this.measures.delete(name)
    this.#groups.clear()
  }

  #settle(position: number, sha256: string): void {
    this.position = position
    this.sha256 = sha256
  }
}
