import type postgres from 'postgres'
import { SCHEMA } from '../../src/platform/postgres/pool.ts'

/**
 * Saves the contents of a database. `bringBack` restores them, which loses the commits in between,
 * as a promoted standby or a server killed with synchronous_commit off does. The service's
 * connections stay open, as behind a pooler.
 */
export async function saveDatabase(
  owner: postgres.Sql,
): Promise<{ name: string; restore(): Promise<void> }> {
  const tables = await owner<{ name: string; columns: string }[]>`
    select c.relname as name, string_agg(quote_ident(a.attname), ', ') as columns
    from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and a.attgenerated = ''
    where c.relnamespace = ${SCHEMA}::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition
    group by c.relname`
  const saved = `saved_${Math.random().toString(36).slice(2)}`
  await owner.unsafe(`create schema ${saved}`)
  await owner.begin('isolation level repeatable read', async (transaction) => {
    for (const { name } of tables) {
      await transaction.unsafe(`create table ${saved}.${name} as table ${SCHEMA}.${name}`)
    }
  })
  const restore = () =>
    owner.begin(async (transaction) => {
      // Disables the triggers that protect the log.
      // With Citus, on every node; elsewhere this has no effect.
      await transaction`set local citus.propagate_set_commands = 'local'`
      await transaction`set local session_replication_role = replica`
      for (const { name } of tables) await transaction.unsafe(`lock table ${SCHEMA}.${name}`)
      for (const { name, columns } of tables) {
        await transaction.unsafe(`delete from ${SCHEMA}.${name}`)
        await transaction.unsafe(`
          insert into ${SCHEMA}.${name} (${columns}) overriding system value
          select ${columns} from ${saved}.${name}`)
      }
    })
  return {
    name: saved,
    restore: async () => {
      // The running service locks tables in another order, so this can deadlock.
      while (!(await restore().then(() => true, isDeadlock))) await Bun.sleep(20)
    },
  }
}

/** Returns false for a deadlock; throws any other error. */
function isDeadlock(error: { code?: string }): boolean {
  if (error.code !== '40P01') throw error
  return false
}
