import { SCHEMA, type Sql, transact } from './pool.ts'

/** The indexes that sort by name (0015-names.sql). */
const INDEXES = ['provider_groups_by_name', 'api_keys_by_name', 'keys_by_name']

/** Returns how this database sorts names: by ICU, or by its own collation if ICU is unavailable. */
export async function readNameOrder(owner: Sql): Promise<'icu' | 'own'> {
  const [row] = await owner<{ icu: boolean }[]>`
    select exists (
      select from pg_collation c
      where c.collname = 'names' and c.collnamespace = ${SCHEMA}::regnamespace
    ) as icu`
  return row!.icu ? 'icu' : 'own'
}

/**
 * Rebuilds the name indexes if the ICU version has changed since they were sorted, for example
 * after an operating system upgrade. With stale indexes, pages by name skip or repeat rows.
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
