import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { MUTATIONS } from './list.ts'
import { mutate } from './mutation.ts'
import { mergeTable } from './report.ts'

const ROOT = join(import.meta.dir, '../..')
const tests = [...new Glob('test/**/*.test.ts').scanSync(ROOT)]

test('there are at least 40 mutations with distinct names', () => {
  const names = new Set(MUTATIONS.map(({ name }) => name))
  expect(names.size).toBe(MUTATIONS.length)
  expect(names.size).toBeGreaterThanOrEqual(40)
})

describe('every mutation changes the current source and names existing tests', () => {
  test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
    '%s',
    (_, mutation) => {
      const text = readFileSync(join(ROOT, mutation.file), 'utf8')
      expect(mutate(text, mutation)).not.toBe(text)
      const missing = mutation.tests.filter((path) => !tests.some((file) => file.startsWith(path)))
      expect(missing).toEqual([])
    },
  )
})

test('a mutation whose text is missing or occurs twice is refused', () => {
  const mutation = { ...MUTATIONS[0]!, find: 'lock', replace: '' }
  expect(() => mutate('a key', mutation)).toThrow('0 places')
  expect(() => mutate('lock, lock', mutation)).toThrow('2 places')
})

test('results replace their rows of the table, and leave the others in the order of the list', () => {
  const [first, second, third] = MUTATIONS
  const caught = (mutation: typeof first, test: string) => ({
    mutation: mutation!,
    ...{ caughtBy: { file: null, test, message: '' }, seconds: 1 },
  })
  const before = mergeTable('', [caught(third, 'c'), caught(first, 'a')])
  expect(before).toStartWith('2 of 2 are caught.')
  const missed = { mutation: second!, caughtBy: null, seconds: 2 }
  const after = mergeTable(`| gone | x |\n${before}`, [missed, caught(first, 'b')])
  expect(after).toStartWith('2 of 3 are caught.')
  const rows = after.split('\n').filter((line) => /^\| \S+ \| `/.test(line))
  expect(rows.map((row) => row.split(' | ').toSpliced(1, 2).join(' '))).toEqual([
    `| ${first!.name} b 1 |`,
    `| ${second!.name} **none** 2 |`,
    `| ${third!.name} c 1 |`,
  ])
})
