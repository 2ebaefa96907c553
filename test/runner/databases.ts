import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Glob } from 'bun'
import { createTemplate, dropTemplate } from '../support/server.ts'
import { ROOT } from './queue.ts'

/** Creates the databases that tests clone: a migrated one for each number of shards. */
export async function makeTemplates(shards: Iterable<number>): Promise<void> {
  process.env.TALLYBOOK_TEST_TEMPLATE = `tallybook_template_${await hashSchema()}`
  for (const count of shards) await createTemplate(count)
}

/** Drops the databases that `makeTemplates` created. */
export async function removeTemplates(shards: Iterable<number>): Promise<void> {
  for (const count of shards) await dropTemplate(count)
}

/** Hashes the code that makes the schema: a kept server may have templates of other code. */
async function hashSchema(): Promise<string> {
  const hash = createHash('sha256')
  for (const pattern of ['sql/**/*.sql', 'src/platform/postgres/**/*.ts']) {
    const files = await Array.fromAsync(new Glob(pattern).scan(ROOT))
    for (const file of files.sort()) hash.update(file).update(await readFile(join(ROOT, file)))
  }
  return hash.digest('hex').slice(0, 12)
}
