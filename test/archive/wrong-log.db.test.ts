import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  countEvents,
  importTestArchive,
  makeFolder,
  problemsOf,
  runCommand,
} from '../support/archive.ts'
import { insertEvent } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'

// What only the owner can have done to a log: an export hides none of it.

let folder: Awaited<ReturnType<typeof makeFolder>>
let log: TestDatabase
let empty: TestDatabase
let archives = 0

beforeAll(async () => {
  folder = await makeFolder()
  empty = await createDatabase()
})
afterAll(async () => {
  await empty.drop()
  await folder.remove()
})
beforeEach(async () => {
  log = await createDatabase()
  for (let i = 0; i < 3; i++) await insertEvent(log.owner, {})
})
afterEach(() => log.drop())

const PART = 'shard-0/part-00000.ndjson.gz'

/** Exports and verifies it; nothing of it is imported. */
async function problemsOfLog(): Promise<string[]> {
  const archive = join(folder.path, `archive-${++archives}`)
  expect(await runCommand(['export', archive], log.address)).toMatchObject({ code: 0, stderr: '' })
  const problems = await problemsOf(archive)
  expect(await importTestArchive(empty, archive)).toBe(`Nothing was imported. ${problems[0]}.`)
  expect(await countEvents(empty.owner)).toBe(0)
  return problems
}

test('time that ran backwards is found in the archive, and not imported', async () => {
  await insertEvent(log.owner, { recordedAt: '2001-01-01T00:00:00Z' })
  const [problem, ...more] = await problemsOfLog()
  expect(problem).toStartWith(`${PART} 0/3: recorded_at 2001-01-01T00:00:00.000000+00:00 is before`)
  expect(more).toEqual([])
})

test('a payload that was rewritten is found in the archive, and not imported', async () => {
  await log.owner`alter table events disable trigger events_refuse_change`
  await log.owner`update events set payload = '{"requests":[9]}' where shard = 0 and position = 1`
  const problems = await problemsOfLog()
  expect(problems).toEqual([
    `${PART} 0/1: the payload's SHA-256 is not the one that stands beside it`,
  ])
})

test('a log with a gap is not exported', async () => {
  await log.owner`alter table events disable trigger events_refuse_change`
  await log.owner`delete from events where shard = 0 and position = 1`
  const target = join(folder.path, 'gap')
  const outcome = await runCommand(['export', target], log.address)
  expect(outcome).toMatchObject({ code: 1, stdout: '' })
  expect(outcome.stderr).toBe("The log has no event 0/1: it can't be read whole.\n")
  expect(existsSync(target)).toBe(false)
})
