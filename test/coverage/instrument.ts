import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Glob } from 'bun'
import { createInstrumenter } from 'istanbul-lib-instrument'

/** The root of the project whose src is measured. */
export const ROOT = join(import.meta.dir, '../..')

/** The location of a statement or of a path of a branch in its source: `line:column`. */
export type Location = string

/** A source file: the offset of its counters, and what they count, in this order. */
export type SourceFile = {
  /** The hash of the instrumented version, which the instrumented code contains too. */
  hash: string
  /** The index of its first counter. Counters of statements come first. */
  offset: number
  functions: number
  statements: Location[]
  branches: Location[][]
}

/** The layout of a run's counters, by the path of the source file from the root. */
export type Layout = { counters: number; files: Record<string, SourceFile> }

/** True for source files that run in Bun; the console's page runs in a browser. */
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
      statements: Object.values(statementMap).map(({ start }) => locationOf(start)),
      branches: Object.values(branchMap).map(({ loc, locations }) =>
        // An implicit `else` has no location.
        locations.map(({ start }) =>
          start.line === undefined ? `${locationOf(loc.start)} else` : locationOf(start),
        ),
      ),
    }
    layout.files[path] = file
    layout.counters += file.statements.length + file.branches.flat().length
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), code)
  }
  writeFileSync(join(folder, 'layout.json'), JSON.stringify(layout))
  // Processes of other users count too.
  chmodSync(folder, 0o755)
  return layout
}

const locationOf = ({ line, column }: { line: number; column: number }) => `${line}:${column + 1}`

/** Removes the initial counters: preload.ts provides them before the code is loaded. */
function dropInitialCounters(code: string, path: string): string {
  const dropped = code.replace(/var coverageData = .*?;var coverage = /, 'var coverage = ')
  if (dropped.length === code.length) throw new Error(`${path} can't be instrumented.`)
  return dropped
}
