import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMigrations } from '../../src/platform/postgres/migrate.ts'
import { SCHEMA, SERVICE_ROLE, transact } from '../../src/platform/postgres/pool.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from './server.ts'

const SQL_FOLDER = join(import.meta.dir, '../../sql')
/** Functions as the previous version had them, if they have changed since. */
const OLD_FUNCTIONS = join(import.meta.dir, 'old-functions')

/** Creates a database as an older version left it, with the migrations up to `last` only. */
export async function createOldDatabase(last: number): Promise<TestDatabase> {
  const database = await createDatabase({ empty: true })
  const migrations = readMigrations().filter(({ number }) => number <= last)
  await transact(database.owner, '', async (transaction) => {
    const old = await readdir(OLD_FUNCTIONS)
    const runFolder = async (folder: string) => {
      for (const file of (await readdir(join(SQL_FOLDER, folder))).sort()) {
        const from = folder === 'functions' && old.includes(file) ? OLD_FUNCTIONS : null
        await transaction.unsafe(
          await readFile(join(from ?? join(SQL_FOLDER, folder), file), 'utf8'),
        )
      }
    }
    await transaction.unsafe(`
      create schema ${SCHEMA};
      set local search_path = ${SCHEMA};
      grant ${SERVICE_ROLE} to current_user;
      create table migrations (
        number integer primary key,
        name text not null,
        sha256 text not null,
        applied_at timestamptz not null default now()
      )`)
    await runFolder('functions')
    for (const { number, name, text, sha256 } of migrations) {
      await transaction.unsafe(text)
      await transaction`
        insert into migrations (number, name, sha256) values (${number}, ${name}, ${sha256})`
    }
    await runFolder('views')
    const rows = Array.from({ length: TEST_SHARDS }, (_, shard) => ({
      shard,
      catalog_position: -1,
    }))
    await transaction`insert into shards ${transaction(rows)}`
  })
  return database
}
