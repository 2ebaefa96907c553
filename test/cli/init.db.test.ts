import { afterEach, beforeEach, expect, test } from 'bun:test'
import { outcomeOf } from '../support/archive.ts'
import { makeDataDir, readUrl, runTallybook } from '../support/process.ts'

// `tallybook init` on the embedded database. For Citus: test/platform/postgres/citus.db.test.ts.

let dataDir: Awaited<ReturnType<typeof makeDataDir>>
beforeEach(async () => {
  dataDir = await makeDataDir('empty')
})
afterEach(() => dataDir.remove())

const init = (args: string[] = [], env: Record<string, string> = {}) =>
  outcomeOf(runTallybook(['init', ...args], dataDir.path, env))

test('init creates the schema that a service then uses, and can be run again', async () => {
  const env = { TALLYBOOK_SHARDS: '3' }
  const made = await init([], env)
  expect(made.code).toBe(0)
  expect(made.stdout).toMatchSnapshot()
  expect(await init([], env)).toMatchObject({ code: 0, stdout: made.stdout })
  const service = runTallybook(['serve'], dataDir.path, env)
  expect((await fetch(`${await readUrl(service)}/health/ready`)).status).toBe(200)
  service.kill('SIGTERM')
  await service.exited
  const refused = await init()
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('3')
})

test('init explains what it cannot do', async () => {
  const alone = await init(['--citus'])
  expect(alone).toMatchObject({ code: 1, stdout: '' })
  expect(alone.stderr).toMatchSnapshot()
  const wrong = await init(['--citrus'])
  expect(wrong).toMatchObject({ code: 1, stdout: '' })
  expect(wrong.stderr).toMatchSnapshot()
})
