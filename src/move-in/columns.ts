import { UserError } from '../platform/user-error.ts'
import type { OldDatabase } from './old-books.ts'

/** Expressions as text, for a database: any, and a whole number that is 0 if it is absent. */
export function textsOf({ dialect }: OldDatabase) {
  const type = dialect === 'MySQL' ? 'char' : 'text'
  const asText = (expression: string) => `cast(${expression} as ${type})`
  const count = (expression: string) => asText(`coalesce(${expression}, 0)`)
  return { asText, count }
}

/** A condition as text: 1 or 0. */
export const flag = (condition: string) => `case when ${condition} then '1' else '0' end`

/** Unix seconds, as text, of a column with a time, or with seconds already; not for MySQL. */
export function seconds(database: OldDatabase, expression: string, type: string): string {
  const { asText } = textsOf(database)
  if (!/time|date/.test(type)) return asText(expression)
  return database.dialect === 'SQLite'
    ? `strftime('%s', ${expression})`
    : asText(`floor(extract(epoch from ${expression}))`)
}

/** Reads the columns of a table. Throws UserError unless it has those that are required. */
export async function requireTable(
  database: OldDatabase,
  table: string,
  required: readonly string[],
): Promise<Map<string, string>> {
  const columns = await database.columnsOf(table)
  if (columns.size === 0) throw new UserError(`The old database has no table ${table}.`)
  const missing = required.filter((name) => !columns.has(name))
  if (missing.length === 0) return columns
  throw new UserError(`The table ${table} of the old database lacks ${missing.join(', ')}.`)
}

/** Parses a whole number. Throws UserError, which names the row, if it is none. */
export function toWhole(value: string | null | undefined, row: string): bigint {
  const digits = /^(-?\d+)(?:\.0+)?$/.exec(value ?? '0')
  if (digits) return BigInt(digits[1]!)
  throw new UserError(`A number of ${row} in the old database is not a whole number.`)
}

/** Parses a row of sums: each column is a whole number. */
export const toTotals = (row: Record<string, string | null>) =>
  Object.fromEntries(Object.entries(row).map(([name, sum]) => [name, toWhole(sum, 'a sum')]))

/** Null for the time of something that never happened. */
export function toAccess(value: string | null | undefined, row: string): bigint | null {
  if (value === null || value === undefined) return null
  const at = toWhole(/infinity/i.test(value) ? '-1' : value, row)
  return at === 0n ? null : at
}
