import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServerAddress, Sql } from '../../../../src/platform/postgres/pool.ts'
import { openSession } from '../../../../src/proofs/integrity/session.ts'

/** Opens a connection with the functions and temporary tables that read payloads in SQL. */
export async function openReader(address: ServerAddress): Promise<Sql> {
  const { sql } = await openSession(address)
  for (const file of [
    'chunk-tables.sql',
    'declared.sql',
    'careful.sql',
    'packed.sql',
    'combined-details.sql',
    'details.sql',
    'acts.sql',
    'rules.sql',
  ]) {
    await sql.unsafe(await readFile(join(import.meta.dir, file), 'utf8'))
  }
  return sql
}
