/** A body of PUT /admin/catalog. Absent and null fields keep the current value. */
export type CatalogPut = {
  provider_groups?: { id: number; name?: string | null }[]
  api_keys?: { id: number; group_id?: number | null; name?: string | null }[]
  keys?: { token_hash: string; quota_limit?: number | null; name?: string | null }[]
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

type Checks = Record<string, (value: unknown) => boolean>

const LISTS: Record<string, { id: string; checks: Checks }> = {
  provider_groups: { id: 'id', checks: { id: (id) => isWhole(id, 1), name } },
  api_keys: {
    id: 'id',
    checks: { id: (id) => isWhole(id, 1), group_id: orNull((id) => isWhole(id, 0)), name },
  },
  keys: {
    id: 'token_hash',
    checks: {
      token_hash: (hash) => isText(hash) && hash !== '' && !/^\s|\s$/.test(hash),
      quota_limit: orNull((limit) => isWhole(limit, -1)),
      name,
    },
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
    if (!list || !Array.isArray(rows)) return null
    for (const row of rows) {
      if (!isObject(row) || !Object.hasOwn(row, list.id)) return null
      for (const [column, value] of Object.entries(row)) {
        const check = Object.hasOwn(list.checks, column) ? list.checks[column] : undefined
        if (!check?.(value)) return null
      }
    }
    if (new Set(rows.map((row) => row[list.id])).size !== rows.length) return null
  }
  return body as CatalogPut
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
