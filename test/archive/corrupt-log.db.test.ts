import { afterEach, beforeEach, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  countEvents,
  importTestArchive,
  problemsOf,
  runCommand,
  useFolder,
  writeTestArchive,
} from '../support/archive.ts'
import { insertEvent } from '../support/events.ts'
import { createDatabase, type TestDatabase, useDatabase } from '../support/server.ts'

// Damage that only the owner of the database can do to a log. An export hides none of it.

const folder = useFolder()
const empty = useDatabase()
let log: TestDatabase
let archives = 0

beforeEach(async () => {
  log = await createDatabase()
  for (let i = 0; i < 3; i++) await insertEvent(log.owner, {})
})
afterEach(() => log.drop())

const PART = 'shard-0/part-00000.ndjson.gz'

/** Exports the log, returns the problems of the archive, and expects its import to be refused. */
async function problemsOfLog(): Promise<string[]> {
  const archive = join(folder.path, `archive-${++archives}`)
  await writeTestArchive(log, archive)
  const problems = await problemsOf(archive)
  expect(await importTestArchive(empty, archive)).toBe(`Nothing was imported. ${problems[0]}.`)
  expect(await countEvents(empty.owner)).toBe(0)
  return problems
}

test('an event that is older than the one before it is reported and not imported', async () => {
  await insertEvent(log.owner, { recordedAt: '2001-01-01T00:00:00Z' })
  const [problem, ...more] = await problemsOfLog()
  expect(problem).toStartWith(`${PART} 0/3: recorded_at 2001-01-01T00:00:00.000000+00:00 `)
  expect(problem).toMatchSnapshot()
  expect(more).toEqual([])
})

test('a payload that was rewritten is reported and not imported', async () => {
  await log.owner`alter table events disable trigger events_refuse_change`
  await log.owner`update events set payload = '{"requests":[9]}' where shard = 0 and position = 1`
  const problems = await problemsOfLog()
  expect(problems).toMatchSnapshot()
  expect(problems).toEqual([expect.stringContaining(`${PART} 0/1: `)])
})

test('a log with a gap is not exported', async () => {
  await log.owner`alter table events disable trigger events_refuse_change`
  await log.owner`delete from events where shard = 0 and position = 1`
  const target = join(folder.path, 'gap')
  const outcome = await runCommand(['export', target], log.address)
  expect(outcome).toMatchObject({ code: 1, stdout: '' })
  expect(outcome.stderr).toMatchSnapshot()
  expect(existsSync(target)).toBe(false)
})
