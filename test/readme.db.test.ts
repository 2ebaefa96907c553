import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runConsole } from './support/console.ts'
import { startTestService, useService } from './support/service.ts'

const ROOT = join(import.meta.dir, '..')
const readText = (file: string) => readFileSync(join(ROOT, file), 'utf8')

const service = useService()

test('the session of the README gives what stands there', async () => {
  expect(await runConsole(readText('README.md'), service)).toBeGreaterThan(8)
})

test('the session of docs/guides/reading-the-log.md gives what stands there', async () => {
  const log = await startTestService({ shards: 1 })
  expect(await runConsole(readText('docs/guides/reading-the-log.md'), log)).toBeGreaterThan(8)
  await log.end()
})
