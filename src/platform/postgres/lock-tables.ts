import { readPlacement } from './citus/distribute.ts'
import { SCHEMA, type Transaction } from './pool.ts'

/**
 * Locks the tables that statements name, if they exist, before the statements are executed. Throws
 * a lock timeout if that takes longer than `withinMs` in all.
 *
 * Statements that lock one table after the other can deadlock with a running instance, whose reads
 * hold several tables. PostgreSQL then ends the session that has waited for `deadlock_timeout`, one
 * second by default. If this waits for less, and for nothing afterwards, it is never the read.
 *
 * Appends lock the row of their shard first and fail if they are chosen to end a deadlock, so
 * `shards` comes before all other tables here as well.
 *
 * Does nothing on Citus, where the nodes would be locked one after the other.
 */
export async function lockTables(
  transaction: Transaction,
  statements: readonly string[],
  withinMs: number,
): Promise<void> {
  if ((await readPlacement(transaction)) !== 'no citus') return
  const names = new Set(statements.flatMap(namesIn))
  const tables = await transaction<{ name: string }[]>`
    select c.relname as name
    from pg_class c
    where c.relnamespace = ${SCHEMA}::regnamespace and c.relkind in ('r', 'p')
      and not c.relispartition
    order by c.relname <> 'shards', c.relname`
  const end = performance.now() + withinMs
  for (const { name } of tables.filter((table) => names.has(table.name))) {
    // A timeout of 0 would be none.
    const leftMs = Math.max(1, Math.round(end - performance.now()))
    await transaction.unsafe(`
      set local lock_timeout = ${leftMs};
      lock table ${name} in access exclusive mode`)
  }
}

/** Returns the words of statements, without those of comments. */
const namesIn = (text: string) => text.replaceAll(/--.*/g, '').match(/\b[a-z_]+\b/g) ?? []
