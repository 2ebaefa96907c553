import { readMigrations } from './migrate.ts'
import type { Sql, Transaction } from './pool.ts'

let newest: number | null = null

/** Returns the number of the newest migration that this code knows. */
export function newestMigration(): number {
  newest ??= readMigrations().at(-1)!.number
  return newest
}

/**
 * Returns true if newer code has migrated the database, probably while this process was running: a
 * start would have been refused. If true, the database may hold events and generations that only
 * newer code can read. If false, nothing committed before the call is of that kind.
 */
export async function isOfNewerCode(sql: Sql | Transaction): Promise<boolean> {
  const known = newestMigration()
  const rows = await sql`select from migrations m where m.number > ${known} limit 1`
  return rows.length > 0
}
