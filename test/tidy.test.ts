import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Glob } from 'bun'

const ROOT = join(import.meta.dir, '..')

const list = (pattern: string) => [...new Glob(pattern).scanSync(ROOT)].sort()
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

/** What each room of src may import, itself aside; the longest name that fits counts. */
const MAY_IMPORT: Record<string, string[]> = {
  'src/start-error.ts': [],
  'src/events': [],
  'src/db': ['src/start-error.ts'],
  'src/tokens': ['src/start-error.ts'],
  'src/config.ts': ['src/tokens', 'src/start-error.ts'],
  'src/log': ['src/events', 'src/db'],
  'src/catalog': ['src/events', 'src/db'],
  'src/projections': ['src/events', 'src/db'],
  'src/projector': ['src/events', 'src/db', 'src/log', 'src/projections'],
  // The write routes can't see a projection, and the read routes can't see the log.
  'src/http/flushes': ['src/events', 'src/log', 'src/tokens', 'src/http'],
  'src/http/catalog': ['src/events', 'src/db', 'src/catalog', 'src/http'],
  'src/http/reads': ['src/events', 'src/db', 'src/projections', 'src/projector', 'src/http'],
  'src/http/audit': ['src/events', 'src/db', 'src/log', 'src/http'],
  'src/http': ['src/events', 'src/db', 'src/log', 'src/projector', 'src/tokens'],
  'src/app.ts': ['src'],
  'src/service.ts': ['src'],
  'src/cli': ['src'],
  'src/main.ts': ['src/cli', 'src/start-error.ts'],
}

const roomOf = (file: string) =>
  Object.keys(MAY_IMPORT)
    .filter((room) => isIn(file, room))
    .sort((a, b) => b.length - a.length)[0]

const isIn = (file: string, room: string) => file === room || file.startsWith(`${room}/`)

function importsOf(file: string): string[] {
  const specifiers = [...read(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)]
  return specifiers.map(([, specifier]) => specifier!)
}

const localImportsOf = (file: string) =>
  importsOf(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => relative(ROOT, join(ROOT, dirname(file), specifier)))

const SOURCES = list('src/**/*.ts')

test('imports run one way', () => {
  const wrong: string[] = []
  for (const file of SOURCES) {
    const room = roomOf(file)
    if (room === undefined) wrong.push(`${file} is in no room`)
    for (const imported of localImportsOf(file)) {
      const allowed = [room!, ...(MAY_IMPORT[room!] ?? [])]
      if (!allowed.some((other) => isIn(imported, other))) wrong.push(`${file} -> ${imported}`)
    }
  }
  expect(wrong).toEqual([])
})

test('only the edge knows Elysia', () => {
  const knowing = SOURCES.filter((file) =>
    importsOf(file).some((specifier) => /^(?:elysia|@elysiajs\/)/.test(specifier)),
  )
  expect(knowing.filter((file) => !/^src\/(?:http\/|console\/|app\.ts$)/.test(file))).toEqual([])
  expect(knowing.length).toBeGreaterThan(0)
})

test('the pure rooms touch no clock, network, file or database', () => {
  const impure = /\b(?:Date\.now|new Date\(\)|performance\.|fetch\(|Bun\.|process\.)/
  const wrong = SOURCES.filter((file) => file.startsWith('src/events/') && impure.test(read(file)))
  expect(wrong).toEqual([])
})

test('only one file knows SQLSTATEs', () => {
  const wrong = SOURCES.filter(
    (file) => file !== 'src/db/errors.ts' && /code === '[0-9][0-9A-Z]{4}'/.test(read(file)),
  )
  expect(wrong).toEqual([])
})

test('every source file is reached from the command line', () => {
  const reached = new Set<string>()
  const visit = (file: string) => {
    if (reached.has(file) || !file.endsWith('.ts')) return
    reached.add(file)
    for (const imported of localImportsOf(file)) visit(imported)
  }
  visit('src/main.ts')
  expect(SOURCES.filter((file) => !reached.has(file))).toEqual([])
})

test('files are at most 300 lines, and source lines at most 100 columns', () => {
  const long: string[] = []
  for (const file of [...SOURCES, ...list('test/**/*.ts'), ...list('sql/**/*.sql')]) {
    if (file === 'sql/schema.sql') continue
    const lines = read(file).split('\n')
    if (lines.length > 301) long.push(`${file}: ${lines.length} lines`)
    lines.forEach((line, i) => {
      if (line.length > 100 && !file.startsWith('test/')) long.push(`${file}:${i + 1}`)
    })
  }
  expect(long).toEqual([])
})

test('no test is switched off without a reason, and nothing is left to do', () => {
  const files = [...SOURCES, ...list('test/**/*.ts'), ...list('sql/*.sql'), ...list('bench/**')]
  const left = files.filter((file) => {
    if (file === 'test/tidy.test.ts') return false
    return /\b(?:TODO|FIXME|XXX|HACK)\b|\b(?:test|describe)\.(?:only|todo|skip)\(/.test(read(file))
  })
  expect(left).toEqual([])
})

test('the folders that docs/architecture.md lists are those there are', () => {
  const listed = [...read('docs/architecture.md').matchAll(/^ {4}(src\/[\w-]+\/)/gm)]
  const there = new Set(SOURCES.map((file) => file.split('/').slice(0, 2).join('/')))
  const folders = [...there].filter((path) => !path.endsWith('.ts')).map((path) => `${path}/`)
  expect(listed.map(([, folder]) => folder!).sort()).toEqual(folders.sort())
})
