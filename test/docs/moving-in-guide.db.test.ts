import { afterAll, beforeAll, expect, test } from 'bun:test'
import { useCommands } from '../cli/one-process.ts'
import { createOldDatabase, readSchema, type TestOldDatabase } from '../move-in/old-databases.ts'
import { useService } from '../support/service.ts'
import { expectExamples } from './guide.ts'

// The worked example of docs/guides/moving-in.md: a parallel run, on a database of ez-api.

const service = useService({ shards: 1 })
const commands = useCommands()
let old: TestOldDatabase
beforeAll(async () => {
  old = await createOldDatabase('ez-api')
  await old.run(readSchema('ez-api-rows'))
})
afterAll(() => old?.drop())

/** Runs `psql $OLD -qc '<statement>'`, which prints nothing. */
async function psql([url, option, statement = '', ...rest]: readonly string[]): Promise<string> {
  expect([url, option, rest]).toEqual([old.url, '-qc', []])
  await old.run(statement)
  return ''
}

test('every command of the guide answers what is shown below it', async () => {
  const setting = { variables: { OLD: old.url }, programs: { psql } }
  const commandCount = await expectExamples('moving-in.md', service, commands, setting)
  expect(commandCount).toBeGreaterThan(12)
}, 60_000)
