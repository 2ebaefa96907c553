import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runConsole } from './support/console.ts'
import { startTestService, useService } from './support/service.ts'

const ROOT = join(import.meta.dir, '..')
const readText = (file: string) => readFileSync(join(ROOT, file), 'utf8')

const service = useService()

test('the console session in the README prints what is shown there', async () => {
  expect(await runConsole(readText('README.md'), service)).toBeGreaterThan(8)
})

test('the console session in late-flushes.md, after that, prints what is shown there', async () => {
  expect(await runConsole(readText('docs/guides/late-flushes.md'), service)).toBe(5)
})

test('the console session in reading-the-log.md prints what is shown there', async () => {
  const log = await startTestService({ shards: 1 })
  expect(await runConsole(readText('docs/guides/reading-the-log.md'), log)).toBeGreaterThan(8)
  await log.end()
})
