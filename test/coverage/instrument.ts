import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Glob } from 'bun'
import { createInstrumenter } from 'istanbul-lib-instrument'

/** The root of the project whose src is measured. */
export const ROOT = join(import.meta.dir, '../..')

/** A statement or a way of a branch: `line:column` in its source. */
export type Place = string

/** A source file: where its counters are, and what they count, in this order. */
export type SourceFile = {
  /** Of the version that was instrumented; stands in the code, too. */
  hash: string
  /** The index of its first counter: those of statements come first. */
  offset: number
  functions: number
  statements: Place[]
  branches: Place[][]
}

/** What a run counts, by the path of a source file from the root. */
export type Layout = { counters: number; files: Record<string, SourceFile> }

/** Every source file that runs in Bun: the console's page runs in a browser. */
export const isMeasured = (path: string) => /^src\/(?!console\/page\/).*\.ts$/.test(path)

/** Writes the instrumented code of src and the layout of its counters into a folder. */
export function instrument(folder: string): Layout {
  const instrumenter = createInstrumenter({
    esModules: true,
    compact: false,
    preserveComments: false,
    parserPlugins: ['typescript', 'explicitResourceManagement'],
    // Stack traces name the lines of the source.
    generatorOpts: { retainLines: true },
    coverageGlobalScope: 'globalThis',
    coverageGlobalScopeFunc: false,
  })
  const layout: Layout = { counters: 0, files: {} }
  for (const path of [...new Glob('src/**/*.ts').scanSync(ROOT)].filter(isMeasured).sort()) {
    const source = readFileSync(join(ROOT, path), 'utf8')
    const code = dropInitialCounters(instrumenter.instrumentSync(source, path), path)
    const { statementMap, branchMap, fnMap } = instrumenter.lastFileCoverage()
    const file: SourceFile = {
      hash: /var hash = "([0-9a-f]+)";/.exec(code)![1]!,
      offset: layout.counters,
      functions: Object.keys(fnMap).length,
      statements: Object.values(statementMap).map(({ start }) => placeOf(start)),
      branches: Object.values(branchMap).map(({ loc, locations }) =>
        // An `else` that isn't written has no place of its own.
        locations.map(({ start }) =>
          start.line === undefined ? `${placeOf(loc.start)} else` : placeOf(start),
        ),
      ),
    }
    layout.files[path] = file
    layout.counters += file.statements.length + file.branches.flat().length
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), code)
  }
  writeFileSync(join(folder, 'layout.json'), JSON.stringify(layout))
  // Processes of other users count, too.
  chmodSync(folder, 0o755)
  return layout
}

const placeOf = ({ line, column }: { line: number; column: number }) => `${line}:${column + 1}`

/** The counters are there before the code is loaded (see preload.ts): it needs none of its own. */
function dropInitialCounters(code: string, path: string): string {
  const dropped = code.replace(/var coverageData = .*?;var coverage = /, 'var coverage = ')
  if (dropped.length === code.length) throw new Error(`${path} can't be instrumented.`)
  return dropped
}
