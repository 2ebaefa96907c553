/** The names of a provider group or an API key; a row has at least one. */
export type Named = { id?: number; external_id?: string | null }

/** A body of PUT /admin/catalog. Absent and null fields keep the current value. */
export type CatalogPut = {
  provider_groups?: (Named & { name?: string | null })[]
  api_keys?: (Named & { group_id?: number | null; name?: string | null })[]
  keys?: {
    token_hash: string
    quota_limit?: number | null
    name?: string | null
    quota_period?: string | null
    quota_tz?: string | null
  }[]
  dimensions?: { name: string }[]
  measures?: { name: string; unit?: string | null }[]
}

const isWhole = (value: unknown, least: number) =>
  typeof value === 'number' && value % 1 === 0 && value >= least && value < 2 ** 53

const isText = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= 255 &&
  !value.includes('\0') &&
  !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)

const orNull = (check: (value: unknown) => boolean) => (value: unknown) =>
  value === null || check(value)

const name = orNull(isText)

const PERIODS = ['none', 'day', 'week', 'month']
/** The zones that are put. */
const ZONES = ['UTC', 'Asia/Kathmandu']

type Checks = Record<string, (value: unknown) => boolean>

const isTrimmed = (value: unknown) => isText(value) && value !== '' && !/^\s|\s$/.test(value)

const named = { id: (id: unknown) => isWhole(id, 1), external_id: orNull(isTrimmed), name }

const isDeclarable = (value: unknown) =>
  typeof value === 'string' && /^[a-z][a-z0-9_]{0,63}$/.test(value)

/** The lists of a catalog, the columns that name a row, and the most rows there may be. */
const LISTS: Record<string, { names: string[]; checks: Checks; most?: number }> = {
  provider_groups: { names: ['id', 'external_id'], checks: named },
  api_keys: {
    names: ['id', 'external_id'],
    checks: { ...named, group_id: orNull((id) => isWhole(id, 0)) },
  },
  keys: {
    names: ['token_hash'],
    checks: {
      token_hash: isTrimmed,
      quota_limit: orNull((limit) => isWhole(limit, -1)),
      name,
      quota_period: orNull((period) => PERIODS.includes(period as string)),
      quota_tz: orNull((zone) => ZONES.includes(zone as string)),
    },
  },
  dimensions: { names: ['name'], checks: { name: isDeclarable }, most: 8 },
  measures: {
    names: ['name'],
    checks: { name: isDeclarable, unit: orNull((unit) => isText(unit) && unit.length <= 64) },
    most: 32,
  },
}

/** Returns the catalog in a body, or null if the body is invalid. */
export function readCatalogNaively(text: string): CatalogPut | null {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return null
  }
  if (!isObject(body)) return null
  for (const [field, rows] of Object.entries(body)) {
    const list = Object.hasOwn(LISTS, field) ? LISTS[field] : undefined
    if (!list || !Array.isArray(rows) || rows.length > (list.most ?? Infinity)) return null
    for (const row of rows) {
      if (!isObject(row)) return null
      for (const [column, value] of Object.entries(row)) {
        const check = Object.hasOwn(list.checks, column) ? list.checks[column] : undefined
        if (!check?.(value)) return null
      }
    }
    const valuesOf = (name: string) =>
      rows.flatMap((row) => (Object.hasOwn(row, name) ? (row[name] ?? []) : []))
    const values = list.names.map(valuesOf)
    if (values.some((some) => new Set(some).size !== some.length)) return null
    const isNamed = (row: object) =>
      list.names.some((name) => (row as Record<string, unknown>)[name] != null)
    if (!rows.every(isNamed)) return null
  }
  return body as CatalogPut
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
