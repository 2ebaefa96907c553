import { SCHEMA, type Sql, transact } from './pool.ts'

/** Indexes in the order of names: 0015-names.sql. */
const INDEXES = ['provider_groups_by_name', 'api_keys_by_name', 'keys_by_name']

/** How this database sorts names: for people, by ICU, or by its own collation if it has none. */
export async function readNameOrder(owner: Sql): Promise<'icu' | 'own'> {
  const [row] = await owner<{ icu: boolean }[]>`
    select exists (
      select from pg_collation c
      where c.collname = 'names' and c.collnamespace = ${SCHEMA}::regnamespace
    ) as icu`
  return row!.icu ? 'icu' : 'own'
}

/**
 * Makes the indexes of names anew if ICU is another version than the one that sorted them, as after
 * an upgrade of the server's system: pages by name would leave out rows, or repeat some.
 */
export async function refreshNameOrder(owner: Sql): Promise<void> {
  const [row] = await owner<{ stale: boolean }[]>`
    select coalesce(bool_or(c.collversion <> pg_collation_actual_version(c.oid)), false) as stale
    from pg_collation c
    where c.collname = 'names' and c.collnamespace = ${SCHEMA}::regnamespace`
  if (!row!.stale) return
  await transact(owner, '', async (transaction) => {
    for (const index of INDEXES) await transaction`reindex index ${transaction(index)}`
    await transaction`alter collation names refresh version`
  })
}
