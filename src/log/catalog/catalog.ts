import type {
  ApiKeyRow,
  CatalogChange,
  KeyRow,
  ProviderGroupRow,
} from '../../events/catalog-change.ts'
import type { Attributor } from '../../events/flush.ts'
import { GroupCache } from './group-cache.ts'

/**
 * The catalog in memory: the fold of all CatalogChanged events up to one position of shard 0.
 * Flushes are resolved and changes decided with it. Owned by one process; `refreshCatalog` feeds
 * it.
 */
export class Catalog implements Attributor {
  /** Position on shard 0 of the last change folded, -1 before the first. */
  position = -1

  /** Of that change's payload, in hex; null before the first. */
  sha256: string | null = null

  /** Resolves after the newest refresh; `refreshCatalog` owns it. */
  refreshed: Promise<void> = Promise.resolve()

  readonly providerGroups = new Map<number, ProviderGroupRow>()
  readonly apiKeys = new Map<number, ApiKeyRow>()
  readonly keys = new Map<string, KeyRow>()

  readonly #groups = new GroupCache((apiKeyId) => {
    const key = this.apiKeys.get(apiKeyId)
    if (key === undefined) return null
    return this.providerGroups.has(key.group_id) ? key.group_id : 0
  })

  /**
   * The group that counts for an API key: 0 none (or not known), null where the key isn't known.
   */
  readonly groupOf = (apiKeyId: number): number | null => this.#groups.get(apiKeyId)

  /** Whether a key's tokens use up a quota; null where the key isn't known. */
  readonly quotaTrackedOf = (tokenHash: string): boolean | null => {
    const key = this.keys.get(tokenHash)
    return key === undefined ? null : key.quota_limit >= 0
  }

  /** Forgets all that was folded. */
  clear(): void {
    this.providerGroups.clear()
    this.apiKeys.clear()
    this.keys.clear()
    this.#groups.clear()
    this.position = -1
    this.sha256 = null
  }

  /**
   * Folds the change at `position` of shard 0, whose payload has this hash; one that was folded
   * before changes nothing.
   */
  fold(position: number, sha256: string, { upserted, ended }: CatalogChange): void {
    if (position <= this.position) return
    for (const row of upserted.provider_groups ?? []) this.providerGroups.set(row.id, row)
    for (const row of upserted.api_keys ?? []) this.apiKeys.set(row.id, row)
    for (const row of upserted.keys ?? []) this.keys.set(row.token_hash, row)
    for (const { id } of ended.provider_groups ?? []) this.providerGroups.delete(id)
    for (const { id } of ended.api_keys ?? []) this.apiKeys.delete(id)
    for (const { token_hash } of ended.keys ?? []) this.keys.delete(token_hash)
    this.#groups.clear()
    this.position = position
    this.sha256 = sha256
  }
}
