import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'

/** A request for a page of a list: the sort order, and the row after which to continue. */
export type PageRequest = {
  limit: number
  /** A column of the list, with a leading minus for descending order. */
  sort: string
  cursor: string | null
  /** Includes retired rows. */
  ended: boolean
  /**
   * Finds names that contain this text, ignoring case (without ICU that of A to Z; that of other
   * letters if the database's locale knows them), and ids that begin with it; null finds all.
   */
  search: string | null
}

/** A page of a list; `next_cursor` is null on the last one. */
export type Page<Item> = { items: Item[]; next_cursor: string | null }

/** Columns by which a list can be sorted, with their PostgreSQL types. */
export type SortColumns = Record<string, 'bigint' | 'numeric' | 'float8' | 'text'>

/** The sort column is unknown, or the cursor was not issued for this list and order. */
export class CursorError extends Error {
  override name = 'CursorError'
}

/**
 * True if the sort column comes from the catalog: the page can then be cut first, and only its
 * rows' counters are read.
 */
export const isOfCatalog = (column: string, id: string) => column === id || column === 'name'

/** Condition on catalog rows `c`: the search matches them. */
export function isFound(
  sql: Sql | Transaction,
  ids: readonly string[],
  { search }: PageRequest,
): Fragment {
  if (search === null) return sql`true`
  const begins = ids
    .map((id) => sql`starts_with(c.${sql(id)}::text, ${search})`)
    .reduce((all, one) => sql`${all} or ${one}`)
  // Prefixed with an empty part of the name, the search text gets its collation, which knows upper
  // case.
  return sql`(
    strpos(lower(c.name), lower(left(c.name, 0) || ${search}::text)) > 0
    or ${begins}
  )`
}

/** The sort column, and the SQL to put after `where`. */
export type Keyset = { column: string; cut: Fragment }

/**
 * Builds keyset paging over rows with `columns`, of which `id` is unique. No page costs more than
 * the previous one, and rows that appear or vanish between pages do not shift the others. Throws
 * CursorError.
 */
export function toKeyset(
  sql: Sql | Transaction,
  request: PageRequest,
  columns: SortColumns,
  id: string,
): Keyset {
  const descending = request.sort.startsWith('-')
  const column = descending ? request.sort.slice(1) : request.sort
  const type = columns[column]
  const idType = columns[id]
  if (type === undefined || idType === undefined) throw new CursorError('sort')
  const direction = descending ? sql`desc` : sql`asc`
  const cutWhere = (condition: Fragment) => sql`
    ${condition}
    order by ${sql(column)} ${direction}, ${sql(id)} ${direction}
    limit ${request.limit + 1}`
  if (request.cursor === null) return { column, cut: cutWhere(sql`true`) }

  const [sort, value, lastId] = readCursor(request.cursor)
  if (sort !== request.sort || !fits(value, type) || !fits(lastId, idType)) {
    throw new CursorError('cursor')
  }
  const after = sql`(${value}::text::${sql.unsafe(type)}, ${lastId}::text::${sql.unsafe(idType)})`
  const condition = descending
    ? sql`(${sql(column)}, ${sql(id)}) < ${after}`
    : sql`(${sql(column)}, ${sql(id)}) > ${after}`
  return { column, cut: cutWhere(condition) }
}

/**
 * Cuts `limit + 1` rows to a page. `values` returns a row's sort value and id as PostgreSQL formats
 * them.
 */
export function toPage<Row, Item>(
  rows: Row[],
  request: PageRequest,
  values: (row: Row) => [string, string],
  toItem: (row: Row) => Item,
): Page<Item> {
  const page = rows.slice(0, request.limit)
  const last = page.at(-1)
  const more = rows.length > request.limit && last !== undefined
  return {
    items: page.map(toItem),
    next_cursor: more ? writeCursor([request.sort, ...values(last)]) : null,
  }
}

/**
 * A cursor is base64url of `["-total_requests","41","7"]`: the order, and the last row's sort value
 * and id.
 */
type Cursor = [sort: string, value: string, id: string]

function writeCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url')
}

function readCursor(text: string): Cursor {
  try {
    const cursor: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    if (Array.isArray(cursor) && cursor.length === 3) {
      if (cursor.every((part) => typeof part === 'string' && !part.includes('\0'))) {
        return cursor as Cursor
      }
    }
  } catch {
    // Not a cursor of this service: rejected below.
  }
  throw new CursorError('cursor')
}

/** True if PostgreSQL accepts the value for this type. */
function fits(value: string, type: SortColumns[string]): boolean {
  switch (type) {
    case 'bigint':
      return /^-?\d{1,16}$/.test(value)
    case 'numeric':
      return /^\d{1,100}$/.test(value)
    case 'float8': {
      if (!/^\d{1,20}(\.\d{1,40})?(e-?\d{1,3})?$/.test(value)) return false
      const isZero = !/[1-9]/.test(value.split('e')[0]!)
      return Number.isFinite(Number(value)) && (Number(value) > 0 || isZero)
    }
    case 'text':
      return value.isWellFormed()
    case undefined:
      return false
  }
}
