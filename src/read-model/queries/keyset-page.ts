import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'

/** A page of a list: what to sort by, and after which row to go on. */
export type PageRequest = {
  limit: number
  /** A column of the list; descending with a leading minus. */
  sort: string
  cursor: string | null
  /** Ended rows too. */
  ended: boolean
  /**
   * What the name holds, in capitals or not (without ICU those of A to Z; of other letters where
   * the locale of the database knows them), or the id begins with; null: anything.
   */
  search: string | null
}

export type Page<Item> = { items: Item[]; next_cursor: string | null }

/** A column that a list can be sorted by: its PostgreSQL type. */
export type SortColumns = Record<string, 'bigint' | 'numeric' | 'float8' | 'text'>

/** The cursor is not one that this list has given for this order. */
export class CursorError extends Error {
  override name = 'CursorError'
}

/**
 * Whether the catalog's rows alone say which of them are on the page: counters are then looked up
 * of those only.
 */
export const isOfCatalog = (column: string, id: string) => column === id || column === 'name'

/** Condition on catalog rows `c`: the search finds them. */
export function isFound(sql: Sql | Transaction, id: string, { search }: PageRequest): Fragment {
  if (search === null) return sql`true`
  // Behind an empty part of the name the search has its collation, which knows what is a capital.
  return sql`(
    strpos(lower(c.name), lower(left(c.name, 0) || ${search}::text)) > 0
    or starts_with(c.${sql(id)}::text, ${search})
  )`
}

/** How a list is cut: the column that it is sorted by, and what goes after `where`. */
export type Keyset = { column: string; cut: Fragment }

/**
 * Keyset paging over rows with the columns `columns` and the distinct column `id`: no page costs
 * more than the one before, and rows that appear or vanish meanwhile shift nothing. Throws
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
 * Cuts `limit + 1` rows to a page. `values` gives a row's sort value and id as PostgreSQL prints
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

/** base64url of `["-total_requests","41","7"]`: the order, and the last row's sort value and id. */
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
    // Not one of ours: answered below.
  }
  throw new CursorError('cursor')
}

/** True for what PostgreSQL takes for this type. */
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
