import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dumpSchema } from '../support/schema.ts'
import { createDatabase } from '../support/server.ts'

test('the migrations make sql/schema.sql, on this version of PostgreSQL too', async () => {
  const database = await createDatabase()
  try {
    const file = readFileSync(join(import.meta.dir, '../../sql/schema.sql'), 'utf8')
    expect(await dumpSchema(database.owner)).toBe(file)
  } finally {
    await database.drop()
  }
})
