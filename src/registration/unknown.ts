import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { PostedApiKeyEntries } from '../events/api-key-flush.ts'
import { ExternalId } from '../events/catalog-change.ts'
import { TokenHash } from '../events/catalog-ids.ts'
import { isStorable } from '../events/columns.ts'
import type { KeyHint, PostedFlush } from '../events/flush.ts'
import type { Catalog } from '../log/catalog/catalog.ts'
import { END_OF_IDS } from '../log/catalog/external-ids.ts'

/** An API key that is not in the catalog and can be added to it, as an entry names it. */
export type UnknownApiKey = {
  /** 0 if the entry has none. */
  id: number
  /** Null if the entry has none. */
  externalId: string | null
  hint: KeyHint | undefined
}

/** A token key that is not in the catalog and can be added to it. */
export type UnknownKey = { tokenHash: string; hint: KeyHint | undefined }

/** The keys that flushes name and a catalog lacks, without retired ones; each as often as named. */
export type UnknownKeys = { apiKeys: UnknownApiKey[]; keys: UnknownKey[] }

/**
 * Ids this far below the end of those that new rows get are not registered: otherwise one invented
 * id would leave none for new rows.
 */
const LAST_IDS = 2 ** 32

/** Finds the keys of flushes that can be added to the catalog. */
export function findUnknown(catalog: Catalog, flushes: readonly PostedFlush[]): UnknownKeys {
  const apiKeys: UnknownApiKey[] = []
  const keys: UnknownKey[] = []
  for (const { type, entries, hints } of flushes) {
    if (type === 'ApiKeyStatsFlushed') {
      for (const [i, id] of entries.ids.entries()) {
        const externalId = externalIdAt(entries, i)
        if (!isNewApiKey(catalog, id, externalId)) continue
        apiKeys.push({ id, externalId, hint: hints?.byEntry.get(i) })
      }
    } else {
      for (const [i, tokenHash] of entries.hashes.entries()) {
        if (!isNewKey(catalog, tokenHash)) continue
        keys.push({ tokenHash, hint: hints?.byEntry.get(i) })
      }
    }
  }
  return { apiKeys, keys }
}

const externalIdAt = ({ names }: PostedApiKeyEntries, i: number) => names?.[i] ?? null

/** False also if the id and the external id name two keys: then the flush is refused. */
function isNewApiKey(catalog: Catalog, id: number, externalId: string | null): boolean {
  if (externalId !== null) {
    if (catalog.apiKeyIdOf(externalId) !== null || !isExternalId(externalId)) return false
    if (id === 0) return true
  }
  if (id >= END_OF_IDS - LAST_IDS && id < END_OF_IDS) return false
  return catalog.groupOf(id) === null && !catalog.retired.apiKeys.has(id)
}

const isNewKey = ({ keys, retired }: Catalog, tokenHash: string) =>
  !keys.has(tokenHash) && !retired.keys.has(tokenHash) && isTokenHash(tokenHash)

const externalId = TypeCompiler.Compile(ExternalId)
const tokenHash = TypeCompiler.Compile(TokenHash)

const isExternalId = (name: string) => externalId.Check(name) && isText(name)
const isTokenHash = (hash: string) => tokenHash.Check(hash) && isText(hash)

/** False for a name with U+FFFD: it stands for what was not Unicode, so several names may be it. */
const isText = (name: string) => isStorable(name) && !name.includes('\ufffd')
