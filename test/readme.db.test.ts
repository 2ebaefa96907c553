import { afterAll, beforeAll, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startTestService, type TestService, TOKENS } from './support/service.ts'

const ROOT = join(import.meta.dir, '..')
const readText = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const scripts = JSON.parse(readText('package.json')).scripts

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(async () => {
  await service.end()
})

test('the session of the README gives what stands there', async () => {
  const session = /```console\n([\s\S]*?)```/.exec(readText('README.md'))?.[1] ?? ''
  const steps = session.split('\n').filter((line) => line !== '')
  let output: string[] = []
  const tokens = { DP: TOKENS.dp, ADMIN: TOKENS.admin }
  for (const line of steps) {
    if (!line.startsWith('$ ')) {
      expect(output.shift()).toBe(line)
      continue
    }
    expect(output).toEqual([])
    // The tokens of the test stand in for those of the data directory.
    if (line.includes('.tallybook/tokens')) continue
    const command = line.slice(2).replaceAll('localhost:3000', service.url.slice('http://'.length))
    const run = Bun.spawn(['bash', '-c', command], { env: { ...process.env, ...tokens } })
    output = (await run.stdout.text()).split('\n').filter(Boolean)
    expect(await run.exited).toBe(0)
  }
  expect(output).toEqual([])
  expect(steps.length).toBeGreaterThan(8)
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
