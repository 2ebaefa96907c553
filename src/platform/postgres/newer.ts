import { readMigrations } from './migrate.ts'
import type { Sql, Transaction } from './pool.ts'

let newest: Promise<number> | null = null

/** The number of the newest migration that this code knows. */
export function newestMigration(): Promise<number> {
  newest ??= readMigrations().then((migrations) => migrations.at(-1)!.number)
  return newest
}

/**
 * True where newer code has migrated the database, maybe while this process ran: a start would have
 * been refused. Then there may be events and generations that only newer code can read; where it is
 * false, nothing that was committed before is of that kind.
 */
export async function isOfNewerCode(sql: Sql | Transaction): Promise<boolean> {
  const known = await newestMigration()
  const rows = await sql`select from migrations m where m.number > ${known} limit 1`
  return rows.length > 0
}
