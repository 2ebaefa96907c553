import type {
  ApiKeyRow,
  CatalogRows,
  KeyRow,
  ProviderGroupRow,
  QuotaPeriod,
} from '../../events/catalog-change.ts'
import type { Catalog } from '../../log/catalog/catalog.ts'
import { END_OF_IDS, type ExternalIds } from '../../log/catalog/external-ids.ts'
import { DEFAULT_ZONE, findTimeZone } from '../../quota/periods.ts'
import { mergeDimensions, mergeMeasures } from './declared.ts'
import type { CatalogBody } from './model.ts'
import { mergeRules } from './rules.ts'

type KeyBody = NonNullable<CatalogBody['keys']>[number]

/** Rows that contradict the catalog: the `error` of the problem, and a sentence for people. */
export type Conflict = { error: string; detail: string }

/** The `error` of rows that contradict the external ids of the catalog. */
export const CONFLICT = 'external id conflict'

/** Returns the complete rows after an upsert into the current catalog. */
export function mergeRows(catalog: Catalog, body: CatalogBody): CatalogRows | Conflict {
  const rows: CatalogRows = {}
  const { provider_groups, api_keys, keys, dimensions, measures, rules } = body
  if (provider_groups) {
    const ids = assignIds('provider_groups', provider_groups, catalog.externalIds.providerGroups)
    if ('error' in ids) return ids
    rows.provider_groups = ids.map((named, i) => ({
      ...named,
      name: mergeName(provider_groups[i]!.name, catalog.providerGroups.get(named.id)),
    }))
  }
  if (api_keys) {
    const ids = assignIds('api_keys', api_keys, catalog.externalIds.apiKeys)
    if ('error' in ids) return ids
    rows.api_keys = ids.map(({ id, ...named }, i) => {
      const row = catalog.apiKeys.get(id)
      const group_id = api_keys[i]!.group_id ?? row?.group_id ?? 0
      return { id, group_id, name: mergeName(api_keys[i]!.name, row), ...named }
    })
  }
  if (keys) {
    rows.keys = keys.map((key) => mergeKey(key, catalog.keys.get(key.token_hash)))
  }
  if (dimensions?.length) {
    const merged = mergeDimensions(catalog, dimensions)
    if ('error' in merged) return merged
    rows.dimensions = merged
  }
  if (measures?.length) {
    const merged = mergeMeasures(catalog, measures)
    if ('error' in merged) return merged
    rows.measures = merged
  }
  if (rules?.length) {
    const merged = mergeRules(catalog, rules)
    if ('error' in merged) return merged
    rows.rules = merged
  }
  return rows
}

/** Returns the complete row of a token key; a period of none and the zone UTC are left out. */
function mergeKey(
  { token_hash, quota_limit, name, quota_period, quota_tz }: KeyBody,
  row: KeyRow | undefined,
): KeyRow {
  const limit = quota_limit ?? row?.quota_limit ?? -1
  // The schema has checked it.
  const posted = (quota_period ?? null) as QuotaPeriod | 'none' | null
  const period = posted ?? row?.quota_period ?? 'none'
  const zone = (quota_tz ? findTimeZone(quota_tz) : row?.quota_tz) ?? DEFAULT_ZONE
  return {
    ...{ token_hash, quota_limit: limit, name: mergeName(name, row) },
    ...(period === 'none' ? {} : { quota_period: period }),
    ...(zone === DEFAULT_ZONE ? {} : { quota_tz: zone }),
  }
}

type Named = Pick<ProviderGroupRow & ApiKeyRow, 'id' | 'external_id'>

/**
 * Returns the id of each row, and its external id if it has one, now or before. A new row without
 * an id gets the next one above all that were used or are named here.
 */
function assignIds(
  kind: string,
  rows: readonly { id?: number; external_id?: string | null }[],
  known: ExternalIds,
): Named[] | Conflict {
  const named: Named[] = []
  let next = known.nextAbove(rows.map(({ id = 0 }) => id))
  const seen = new Map<number, number>()
  for (const [i, row] of rows.entries()) {
    const place = `${kind}[${i}]`
    const owner = row.external_id ? known.idOf(row.external_id) : null
    if (owner !== null && row.id !== undefined && owner !== row.id) {
      return conflict(`${place}.external_id is that of another row than id ${row.id}.`)
    }
    const given = row.id ?? owner
    const id = given ?? next++
    if (given === null && id >= END_OF_IDS) return conflict(`${place}: no id is left.`)
    const before = known.externalIdOf(id)
    if (before !== null && row.external_id && before !== row.external_id) {
      return conflict(`${place}: the row with id ${id} has another external_id.`)
    }
    const twin = seen.get(id)
    if (twin !== undefined) return conflict(`${place} names the same row as ${kind}[${twin}].`)
    seen.set(id, i)
    const external_id = row.external_id ?? before
    named.push({ id, ...(external_id === null ? {} : { external_id }) })
  }
  return named
}

const conflict = (detail: string): Conflict => ({ error: CONFLICT, detail })

/** Returns the new name: an empty one removes it, an absent one keeps the current. */
function mergeName(name: string | null | undefined, row: { name: string | null } | undefined) {
  if (name === '') return null
  return name ?? row?.name ?? null
}
