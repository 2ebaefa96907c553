import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Glob } from 'bun'
import { rowsWithoutFiles } from './runner/matrix.ts'

// What docs/explanation/architecture.md says of the source: imports run one way, files and lines are short, and
// nothing lies around.

const ROOT = join(import.meta.dir, '..')

/**
 * What the files of a folder of src may import besides their own; the longest name that fits
 * counts. The first four are the core and what it stands on: they know nothing of the rest.
 */
const CORE = ['platform', 'events', 'log', 'read-model']
const MAY_IMPORT: Record<string, string[]> = {
  platform: [],
  events: [],
  log: ['platform', 'events'],
  'read-model': ['platform', 'events', 'log'],
  cluster: ['platform', 'events', 'read-model'],
  auth: ['platform', 'events'],
  proofs: CORE,
  'proofs/merkle': [],
  'proofs/transparency': [...CORE, 'proofs/merkle'],
  'proofs/integrity': ['platform', 'events', 'log', 'proofs/merkle', 'proofs/verifier'],
  // Shares nothing with what it checks but what a byte means.
  'proofs/verifier': ['events', 'platform/async', 'proofs/merkle'],
  'proofs/verifier/sources': [
    ...['platform/user-error.ts', 'events', 'archive', 'proofs/merkle', 'proofs/verifier'],
  ],
  archive: ['platform', 'events', 'log', 'proofs/merkle'],
  http: [...CORE, 'cluster', 'auth', 'proofs'],
  // The write routes can't see a projection, and the read routes can't see the log.
  'http/flushes': ['events', 'log', 'auth', 'http'],
  'http/catalog': ['platform', 'events', 'log/catalog', 'http'],
  'http/counters': ['platform', 'events', 'read-model', 'cluster', 'http'],
  'http/explain': ['platform', 'events', 'read-model', 'cluster', 'http'],
  'http/usage': ['platform', 'events', 'read-model', 'cluster', 'http'],
  console: ['events', 'auth', 'http'],
  // Bundled for browsers: of the service its types, and what is pure.
  'console/page': ['events', 'proofs/merkle/audit-path.ts', 'platform/async', 'service/routes.ts'],
  service: [''],
  cli: [''],
  'main.ts': ['cli', 'platform/user-error.ts'],
}

/** Files that nothing has to import: what runs, and what other programs import or read. */
const ENTRIES = [
  ...['src/main.ts', 'src/proofs/verifier/index.ts', 'src/service/worker/entry.ts'],
  ...['src/console/page/main.tsx', 'src/console/page/css.d.ts', 'src/console/page/tsconfig.json'],
]

const isCode = (path: string) => /\.tsx?$/.test(path)

type Import = { path: string; typeOnly: boolean }
type Source = { path: string; text: string; lines: string[]; imports: Import[] }

const list = (pattern: string) =>
  [...new Glob(pattern).scanSync(ROOT)].filter((path) => !path.includes('node_modules/')).sort()

function read(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const lines = text.replace(/\n$/, '').split('\n')
  return { path, text, lines, imports: isCode(path) ? readImports(path, text) : [] }
}

/** Of imports of its own files the path from the root; of packages the name. */
function readImports(path: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const found = code.matchAll(
    /(?:^|\n)\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/g,
  )
  return [...found].map(([, type, name, dynamic]) => {
    const from = name ?? dynamic!
    const file = from.startsWith('.') ? relative(ROOT, join(ROOT, dirname(path), from)) : from
    return { path: file, typeOnly: type !== undefined }
  })
}

const isIn = (path: string, room: string) =>
  room === '' || path === `src/${room}` || path.startsWith(`src/${room}/`)

const roomOf = (path: string) =>
  Object.keys(MAY_IMPORT)
    .filter((room) => isIn(path, room))
    .sort((a, b) => b.length - a.length)[0]

const src = list('src/**/*').map(read)
const code = src.filter(({ path }) => isCode(path))
const byPath = new Map(code.map((source) => [source.path, source]))

/** All that loading these files loads: types are gone by then. */
function loadedBy(paths: string[], include: (found: Import) => boolean): Set<string> {
  const seen = new Set<string>()
  const visit = (path: string) => {
    if (seen.has(path)) return
    seen.add(path)
    for (const found of byPath.get(path)?.imports ?? []) if (include(found)) visit(found.path)
  }
  paths.forEach(visit)
  return seen
}

const inFolder = (folder: string) =>
  code.map(({ path }) => path).filter((path) => path.startsWith(folder))

describe('imports run one way', () => {
  test('each room imports only what stands before it', () => {
    const wrong = code.flatMap(({ path, imports }) => {
      const room = roomOf(path)
      if (room === undefined) return [`${path} is in no room`]
      const allowed = [room, ...MAY_IMPORT[room]!]
      return imports
        .filter((found) => found.path.startsWith('src/'))
        .filter((found) => !allowed.some((other) => isIn(found.path, other)))
        .map((found) => `${path} imports ${found.path}`)
    })
    expect(wrong).toEqual([])
  })

  test('every import of an own file is one that is there', () => {
    const missing = code.flatMap(({ path, imports }) =>
      imports
        .filter((found) => found.path.startsWith('src/') && !existsSync(join(ROOT, found.path)))
        .map((found) => `${path} imports ${found.path}`),
    )
    expect(missing).toEqual([])
    expect(code.flatMap(({ imports }) => imports).length).toBeGreaterThan(code.length)
  })

  test('the write route can not see a projection', () => {
    const paths = inFolder('src/http/flushes/')
    expect(paths.length).toBeGreaterThan(1)
    const loaded = [...loadedBy(paths, ({ typeOnly }) => !typeOnly)]
    expect(loaded.filter((path) => /^src\/read-model\//.test(path))).toEqual([])
    const direct = paths.flatMap((path) => byPath.get(path)!.imports.map((found) => found.path))
    expect(direct.filter((path) => /^src\/read-model\//.test(path))).toEqual([])
  })

  test('the read routes can not see the log', () => {
    const paths = [...inFolder('src/http/counters/'), ...inFolder('src/http/usage/')]
    expect(paths.length).toBeGreaterThan(1)
    const loaded = [...loadedBy(paths, ({ typeOnly }) => !typeOnly)]
    expect(loaded.filter((path) => path.startsWith('src/log/'))).toEqual([])
    const direct = paths.flatMap((path) => byPath.get(path)!.imports.map((found) => found.path))
    expect(direct.filter((path) => path.startsWith('src/log/'))).toEqual([])
  })

  test('only the edge knows Elysia', () => {
    const knowing = code
      .filter(({ imports }) => imports.some(({ path }) => /^@?elysia(js)?(\/|$)/.test(path)))
      .map(({ path }) => path)
    const edge = /^src\/(?:http\/|console\/|service\/routes\.ts$)/
    expect(knowing.filter((path) => !edge.test(path))).toEqual([])
    expect(knowing.length).toBeGreaterThan(0)
  })

  test('the pure rooms touch no clock, network, file or database', () => {
    const allowed = ['node:crypto', '@sinclair/typebox', '@sinclair/typebox/compiler']
    const impure = /\b(?:Date\.now|new Date\(\)|performance\.|fetch\(|Bun\.|process\.)/
    const pure = code.filter(({ path }) => isIn(path, 'events') || isIn(path, 'proofs/merkle'))
    const wrong = pure.filter(
      ({ text, imports }) =>
        impure.test(text) ||
        imports.some(({ path }) => !path.startsWith('src/') && !allowed.includes(path)),
    )
    expect(wrong.map(({ path }) => path)).toEqual([])
  })

  test('only one file knows SQLSTATEs', () => {
    const knowing = code.filter(({ text }) => /code === '[0-9][0-9A-Z]{4}'/.test(text))
    expect(
      knowing.map(({ path }) => path).filter((path) => path !== 'src/platform/postgres/errors.ts'),
    ).toEqual([])
  })

  test('the folders that docs/explanation/architecture.md lists are those there are', () => {
    const listed = [
      ...read('docs/explanation/architecture.md').text.matchAll(/^ {4}(src\/[\w-]+\/)/gm),
    ].map(([, folder]) => folder!)
    const there = new Set(
      src.map(({ path }) => path.split('/')).flatMap(([, folder, file]) => (file ? [folder] : [])),
    )
    expect(listed.sort()).toEqual([...there].map((folder) => `src/${folder}/`).sort())
  })
})

describe('files are short', () => {
  const all = [
    ...src,
    ...list('sql/**/*.sql')
      .filter((path) => path !== 'sql/schema.sql')
      .map(read),
    ...list('test/**/*.ts').map(read),
  ]

  test('300 lines at most', () => {
    const long = all.filter(({ lines }) => lines.length > 300)
    expect(long.map(({ path, lines }) => `${path}: ${lines.length} lines`)).toEqual([])
  })

  test('lines of src and sql have 100 columns at most', () => {
    const wide = all
      .filter(({ path }) => !path.startsWith('test/'))
      .flatMap(({ path, lines }) =>
        lines.flatMap((line, i) => (line.length > 100 ? [`${path}:${i + 1}`] : [])),
      )
    expect(wide).toEqual([])
  })

  test('the core stays small', () => {
    const core = code.filter(({ path }) => CORE.some((folder) => isIn(path, folder)))
    const own = core.filter(({ path }) => !isIn(path, 'platform'))
    expect(own.reduce((sum, { lines }) => sum + lines.length, 0)).toBeLessThan(8_000)
  })

  test('nothing is left for later', () => {
    const words = /\b(?:TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/
    const left = [...all, ...list('bench/**/*.ts').map(read)].filter(({ text }) => words.test(text))
    expect(left.map(({ path }) => path)).toEqual([])
  })
})

describe('tests', () => {
  test('what varies with shards and servers is there', () => {
    expect(rowsWithoutFiles(list('test/**/*.test.ts'))).toEqual([])
  })

  test('none is left out, and none runs alone', () => {
    const mark = /\b(?:test|it|describe)\.(only|skip|todo|failing)\b/
    const marked = list('test/**/*.test.ts')
      .filter((path) => path !== 'test/tidy.test.ts')
      .map(read)
      .filter(({ text }) => mark.test(text))
    expect(marked.map(({ path }) => path)).toEqual([])
  })

  test('none mocks a module or the clock', () => {
    const mocks = /\b(?:mock\.module|spyOn|setSystemTime|useFakeTimers)\b/
    const mocking = list('test/**/*.ts')
      .filter((path) => path !== 'test/tidy.test.ts')
      .map(read)
      .filter(({ text }) => mocks.test(text))
    expect(mocking.map(({ path }) => path)).toEqual([])
  })
})

test('every file of src is used', () => {
  const used = loadedBy(ENTRIES, () => true)
  const unused = src.filter(({ path }) => {
    if (used.has(path) || isCode(path)) return !used.has(path)
    // Other files are read by name, by a file of the same folder or of the one above.
    const name = path.split('/').at(-1)!
    const folder = dirname(path)
    return ![...used].some(
      (user) =>
        (dirname(user) === folder || dirname(user) === dirname(folder)) &&
        byPath.get(user)?.text.includes(`'${name}'`),
    )
  })
  expect(unused.map(({ path }) => path)).toEqual([])
})
