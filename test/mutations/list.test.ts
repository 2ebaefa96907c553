import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { MUTATIONS } from './list.ts'
import { mutate } from './mutation.ts'

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
