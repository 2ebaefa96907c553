import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dumpSchema } from '../../support/schema.ts'
import { useDatabase } from '../../support/server.ts'

const database = useDatabase()

test('the migrations create sql/schema.sql, on this version of PostgreSQL too', async () => {
  const file = readFileSync(join(import.meta.dir, '../../../sql/schema.sql'), 'utf8')
  expect(await dumpSchema(database.owner)).toBe(file)
})
