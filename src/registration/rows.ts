import type { ApiKeyRow, CatalogRows, KeyRow } from '../events/catalog-change.ts'
import type { KeyHint } from '../events/flush.ts'
import type { Catalog } from '../log/catalog/catalog.ts'
import { END_OF_IDS } from '../log/catalog/external-ids.ts'
import type { UnknownApiKey, UnknownKey, UnknownKeys } from './unknown.ts'

/** The rows to add for unknown keys, and how many keys are left out because of the limit. */
export type NewRows = { rows: CatalogRows; added: number; leftOut: number }

/** An API key on its way into the catalog; `id` is 0 until it gets one. */
type Draft = { id: number; externalId: string | null; group_id: number; name: string | null }

/**
 * Makes the catalog's rows for unknown keys, at most `limit`, in the order in which they are named.
 * A key that is named more than once gets what the first entry says that describes it.
 */
export function makeRows(catalog: Catalog, unknown: UnknownKeys, limit: number): NewRows {
  const drafts = draftApiKeys(catalog, unknown.apiKeys)
  const named = draftKeys(unknown.keys)
  const room = Math.max(0, limit)
  const api_keys = assignIds(catalog, drafts.slice(0, room))
  const keys = named.slice(0, Math.max(0, room - drafts.length))
  const rows: CatalogRows = {
    ...(api_keys.length > 0 && { api_keys }),
    ...(keys.length > 0 && { keys }),
  }
  return {
    rows,
    added: api_keys.length + keys.length,
    leftOut: Math.max(0, drafts.length + named.length - room),
  }
}

/**
 * Returns one draft for each API key. Entries with both names come first, so that those with one of
 * the names find the key. If entries disagree on the names of a key, the first is right: then the
 * flush of the other names two keys, and is refused.
 */
function draftApiKeys(catalog: Catalog, unknown: readonly UnknownApiKey[]): Draft[] {
  const byId = new Map<number, Draft>()
  const byExternalId = new Map<string, Draft>()
  const drafts: Draft[] = []
  const hasBoth = ({ id, externalId }: UnknownApiKey) => id !== 0 && externalId !== null
  const inOrder = [...unknown.filter(hasBoth), ...unknown.filter((key) => !hasBoth(key))]
  for (const { id, externalId, hint } of inOrder) {
    const known = byId.get(id) ?? byExternalId.get(externalId ?? '')
    const draft = known ?? { id, externalId, group_id: 0, name: null }
    if (known === undefined) {
      drafts.push(draft)
      if (id !== 0) byId.set(id, draft)
      if (externalId !== null) byExternalId.set(externalId, draft)
    } else if (id !== 0 && externalId !== null) {
      if (draft.id !== id || draft.externalId !== externalId) continue
    }
    draft.group_id ||= groupIdOf(catalog, hint)
    draft.name ??= hint?.name ?? null
  }
  return drafts
}

/** Returns the provider group that a hint names, or 0 if the catalog has none of that name. */
function groupIdOf({ providerGroups, externalIds }: Catalog, hint: KeyHint | undefined): number {
  if (hint === undefined) return 0
  const { group, groupId } = hint
  const id = group === null ? groupId : (externalIds.providerGroups.idOf(group) ?? 0)
  return providerGroups.has(id) ? id : 0
}

/** Completes drafts to rows. Leaves out those without an id if there is none left. */
function assignIds(catalog: Catalog, drafts: readonly Draft[]): ApiKeyRow[] {
  let next = catalog.externalIds.apiKeys.nextAbove(drafts.map(({ id }) => id))
  return drafts.flatMap(({ id: posted, externalId, group_id, name }) => {
    const id = posted === 0 ? next++ : posted
    if (posted === 0 && id >= END_OF_IDS) return []
    return { id, group_id, name, ...(externalId !== null && { external_id: externalId }) }
  })
}

function draftKeys(unknown: readonly UnknownKey[]): KeyRow[] {
  const rows = new Map<string, KeyRow>()
  for (const { tokenHash, hint } of unknown) {
    const row = rows.get(tokenHash) ?? { token_hash: tokenHash, quota_limit: -1, name: null }
    row.name ??= hint?.name ?? null
    rows.set(tokenHash, row)
  }
  return [...rows.values()]
}
