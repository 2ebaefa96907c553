import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runConsole } from './support/console.ts'
import { startTestService, useService } from './support/service.ts'

const ROOT = join(import.meta.dir, '..')
const readText = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const scripts = JSON.parse(readText('package.json')).scripts

const service = useService()

test('the session of the README gives what stands there', async () => {
  expect(await runConsole(readText('README.md'), service)).toBeGreaterThan(8)
})

test('the session of docs/audit.md gives what stands there', async () => {
  const log = await startTestService({ shards: 1 })
  expect(await runConsole(readText('docs/audit.md'), log)).toBeGreaterThan(8)
  await log.end()
})

test('every script that README.md and docs name is there', () => {
  const docs = ['README.md', 'docs/operations.md', 'docs/architecture.md']
  for (const file of docs) {
    const text = readText(file)
    for (const [, name] of text.matchAll(/`(?:npx [^`]*)?bun(?:@[\d.]+)? run (\w+)/g)) {
      expect(Object.keys(scripts)).toContain(name!)
    }
  }
})

test('every file that docs name is there', () => {
  for (const file of ['docs/architecture.md', 'docs/operations.md', 'README.md']) {
    const text = readText(file)
    for (const [, path] of text.matchAll(/(?:\]\(|`)((?:test|src|docs|decisions)\/[\w./-]+)/g)) {
      const found = [path!, `docs/${path}`].some((place) => existsSync(join(ROOT, place)))
      expect(`${file}: ${path} ${found ? 'exists' : 'is missing'}`).toBe(`${file}: ${path} exists`)
    }
  }
})
