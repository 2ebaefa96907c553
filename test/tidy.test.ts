import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Glob } from 'bun'
import { EXCLUDED_FILES, EXCLUDED_TESTS } from './runner/citus-exclusions.ts'
import { rowsWithoutFiles } from './runner/matrix.ts'

// The source is as docs/explanation/architecture.md describes it, and every file is short and used.

const ROOT = join(import.meta.dir, '..')

/**
 * The folders of src, and what their files may import besides files of the same folder. The longest
 * matching name applies. The first four are the core and its foundations: they import no other.
 */
const CORE = ['platform', 'events', 'log', 'read-model']
const MAY_IMPORT: Record<string, string[]> = {
  platform: [],
  events: [],
  log: ['platform', 'events'],
  'read-model': ['platform', 'events', 'log'],
  explain: CORE,
  bookkeeping: CORE,
  registration: ['platform', 'events', 'log'],
  segments: ['platform', 'events', 'log'],
  subscriptions: ['platform', 'events', 'log'],
  dimensions: ['platform', 'events', 'log'],
  quota: CORE,
  rollups: CORE,
  sources: CORE,
  rules: [...CORE, 'quota', 'sources', 'proofs/integrity/scheduled/stored.ts'],
  webhooks: ['platform', 'events', 'log'],
  cluster: ['platform', 'events', 'log/archived.ts', 'read-model'],
  auth: ['platform', 'events', 'log/overtaken.ts'],
  proofs: CORE,
  'proofs/merkle': [],
  'proofs/transparency': [...CORE, 'proofs/merkle'],
  'proofs/integrity': ['platform', 'events', 'log', 'proofs/merkle', 'proofs/verifier'],
  // Shares nothing with what it checks except the meaning of bytes.
  'proofs/verifier': ['events', 'platform/async', 'proofs/merkle'],
  'proofs/verifier/sources': ['platform/user-error.ts', 'events', 'archive', 'proofs'],
  archive: ['platform', 'events', 'log', 'proofs/merkle'],
  'segment-files': ['platform', 'events', 'proofs/merkle'],
  retention: [...CORE, 'proofs', 'segment-files', 'segments'],
  // Sends requests to the service like any other client.
  'move-in': ['platform', 'events'],
  http: [
    ...CORE,
    ...['subscriptions', 'bookkeeping', 'quota', 'sources', 'rules', 'webhooks', 'cluster'],
    ...['auth', 'proofs', 'retention', 'explain'],
  ],
  // The write routes can't reach a projection, and the read routes can't reach the log.
  'http/flushes': ['events', 'log', 'auth', 'http'],
  'http/catalog': ['platform', 'events', 'log/catalog', 'quota/periods.ts', 'http'],
  'http/bookkeeping': ['events', 'bookkeeping', 'read-model/queries/scope.ts', 'auth', 'http'],
  'http/counters': ['platform', 'events', 'read-model', 'quota', 'cluster', 'http'],
  'http/explain': ['platform', 'events', 'read-model', 'explain', 'cluster', 'http'],
  'http/usage': ['platform', 'events', 'read-model', 'cluster', 'http'],
  tracing: [
    ...['platform/async', 'events/flush.ts', 'log/append-call.ts', 'log/queue.ts'],
    ...['read-model/projector/projection-groups.ts', 'http'],
  ],
  console: ['events', 'auth', 'http', 'platform/shipped'],
  // Bundled for browsers: may use types of the service, and pure code.
  'console/page': ['events', 'proofs/merkle/audit-path.ts', 'platform/async', 'service/routes.ts'],
  collect: ['platform/user-error.ts', 'http/content-coding.ts', 'http/problem.ts', 'move-in'],
  service: [''],
  cli: [''],
  'main.ts': ['cli', 'platform/user-error.ts'],
}

/** Files that no file of src needs to import: entry points, and files for other programs. */
const ENTRIES = [
  ...['src/main.ts', 'src/proofs/verifier/index.ts', 'src/service/worker/entry.ts'],
  ...['src/console/page/main.tsx', 'src/console/page/css.d.ts', 'src/console/page/tsconfig.json'],
  ...['src/collect/otlp/proto.d.ts', 'src/segment-files/put.ts', 'src/segment-files/open-store.ts'],
]

const isCode = (path: string) => /\.tsx?$/.test(path)

type Import = { path: string; typeOnly: boolean }
type Source = { path: string; text: string; lines: string[]; imports: Import[] }

const isOther = (path: string) => /(?:^|\/)(?:node_modules|dist|proto)\//.test(path)
const list = (pattern: string) =>
  [...new Glob(pattern).scanSync(ROOT)].filter((path) => !isOther(path)).sort()

function read(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const lines = text.replace(/\n$/, '').split('\n')
  return { path, text, lines, imports: isCode(path) ? readImports(path, text) : [] }
}

/** The imports of a file: paths from the root for files of the repository, names for packages. */
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

const isIn = (path: string, layer: string) =>
  layer === '' || path === `src/${layer}` || path.startsWith(`src/${layer}/`)

const layerOf = (path: string) =>
  Object.keys(MAY_IMPORT)
    .filter((layer) => isIn(path, layer))
    .sort((a, b) => b.length - a.length)[0]

const src = list('src/**/*').map(read)
const code = src.filter(({ path }) => isCode(path))
const byPath = new Map(code.map((source) => [source.path, source]))

/** All files that loading these files loads, following the imports that `include` accepts. */
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
  test('each folder imports only what it may', () => {
    const wrong = code.flatMap(({ path, imports }) => {
      const layer = layerOf(path)
      if (layer === undefined) return [`${path} is in no folder of MAY_IMPORT`]
      const allowed = [layer, ...MAY_IMPORT[layer]!]
      return imports
        .filter((found) => found.path.startsWith('src/'))
        .filter((found) => !allowed.some((other) => isIn(found.path, other)))
        .map((found) => `${path} imports ${found.path}`)
    })
    expect(wrong).toEqual([])
  })

  test('every imported file exists', () => {
    const missing = code.flatMap(({ path, imports }) =>
      imports
        .filter((found) => found.path.startsWith('src/') && !existsSync(join(ROOT, found.path)))
        .map((found) => `${path} imports ${found.path}`),
    )
    expect(missing).toEqual([])
    expect(code.flatMap(({ imports }) => imports).length).toBeGreaterThan(code.length)
  })

  test('the write routes load no projection', () => {
    const paths = inFolder('src/http/flushes/')
    expect(paths.length).toBeGreaterThan(1)
    const loaded = [...loadedBy(paths, ({ typeOnly }) => !typeOnly)]
    expect(loaded.filter((path) => /^src\/read-model\//.test(path))).toEqual([])
    const direct = paths.flatMap((path) => byPath.get(path)!.imports.map((found) => found.path))
    expect(direct.filter((path) => /^src\/read-model\//.test(path))).toEqual([])
  })

  test('the read routes do not load the log', () => {
    const paths = [...inFolder('src/http/counters/'), ...inFolder('src/http/usage/')]
    expect(paths.length).toBeGreaterThan(1)
    const loaded = [...loadedBy(paths, ({ typeOnly }) => !typeOnly)]
    expect(loaded.filter((path) => path.startsWith('src/log/'))).toEqual([])
    const direct = paths.flatMap((path) => byPath.get(path)!.imports.map((found) => found.path))
    expect(direct.filter((path) => path.startsWith('src/log/'))).toEqual([])
  })

  test('only http, the console and the routes import Elysia', () => {
    const importing = code
      .filter(({ imports }) => imports.some(({ path }) => /^@?elysia(js)?(\/|$)/.test(path)))
      .map(({ path }) => path)
    const edge = /^src\/(?:http\/|console\/|service\/routes\.ts$)/
    expect(importing.filter((path) => !edge.test(path))).toEqual([])
    expect(importing.length).toBeGreaterThan(0)
  })

  test('events and merkle use no clock, network, file or database', () => {
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

  test('only errors.ts compares SQLSTATEs', () => {
    const comparing = code.filter(({ text }) => /code === '[0-9][0-9A-Z]{4}'/.test(text))
    const errors = 'src/platform/postgres/errors.ts'
    expect(comparing.map(({ path }) => path).filter((path) => path !== errors)).toEqual([])
  })

  test('architecture.md lists the folders of src', () => {
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
    ...list('clients/**/*.{ts,go}').map(read),
  ]

  test('no file has more than 300 lines', () => {
    const long = all.filter(({ lines }) => lines.length > 300)
    expect(long.map(({ path, lines }) => `${path}: ${lines.length} lines`)).toEqual([])
  })

  test('no line of src or sql has more than 100 columns', () => {
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
    expect(own.reduce((sum, { lines }) => sum + lines.length, 0)).toBeLessThan(13_750)
  })

  test('no comment postpones work', () => {
    const words = /\b(?:TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b/
    const left = [...all, ...list('bench/**/*.ts').map(read)].filter(({ text }) => words.test(text))
    expect(left.map(({ path }) => path)).toEqual([])
  })
})

describe('tests', () => {
  test('every row of the matrix matches a test file', () => {
    expect(rowsWithoutFiles(list('test/**/*.test.ts'))).toEqual([])
  })

  test('each exclusion on Citus matches a file or a test', () => {
    const files = list('test/**/*.test.ts')
    const texts = files.map((path) => readFileSync(join(ROOT, path), 'utf8'))
    const unused = [
      ...Object.keys(EXCLUDED_FILES).filter((part) => !files.some((path) => path.startsWith(part))),
      ...Object.keys(EXCLUDED_TESTS).filter((part) => !texts.some((text) => text.includes(part))),
    ]
    expect(unused).toEqual([])
  })

  test('no test is skipped or runs exclusively', () => {
    const mark = /\b(?:test|it|describe)\.(only|skip|todo|failing)\b/
    const marked = list('test/**/*.test.ts')
      .filter((path) => path !== 'test/tidy.test.ts')
      .map(read)
      .filter(({ text }) => mark.test(text))
    expect(marked.map(({ path }) => path)).toEqual([])
  })

  test('no test mocks a module or the clock', () => {
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
    // Other files are read by path, or by name from the same folder or the one above.
    const name = path.split('/').at(-1)!
    if ([...used].some((user) => byPath.get(user)?.text.includes(`'${path}'`))) return false
    const folder = dirname(path)
    return ![...used].some(
      (user) =>
        (dirname(user) === folder || dirname(user) === dirname(folder)) &&
        byPath.get(user)?.text.includes(`'${name}'`),
    )
  })
  expect(unused.map(({ path }) => path)).toEqual([])
})
