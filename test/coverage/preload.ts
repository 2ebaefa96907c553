/**
 * Bun loads this first in every process of a coverage run (BUN_OPTIONS). It makes Bun load the
 * instrumented files of src, and counts in a file that is mapped into memory. So counts survive
 * however a process ends, and all processes of a run count in one file. If two processes count the
 * same thing at the same time, one of the counts may be lost, never both: what ran is never 0.
 */
import { chmodSync, closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Layout, SourceFile } from './instrument.ts'

const ROOT = join(import.meta.dir, '../..')
const folder = process.env.COVERAGE_FOLDER

/** Variables that child processes get even if their parent sets their environment itself. */
const INHERITED = ['BUN_OPTIONS', 'COVERAGE_FOLDER', 'COVERAGE_COUNTERS']

// The runner isn't measured: it tests nothing, and its server may outlive the run.
const isRunner = /^test\/(run\.ts$|runner\/)/.test(relative(ROOT, Bun.main))

if (folder !== undefined && !isRunner) {
  const path = `counters-${process.env.TALLYBOOK_TEST_SHARDS ?? '1'}`
  process.env.COVERAGE_COUNTERS ??= join(folder, path)
  measure(folder, process.env.COVERAGE_COUNTERS)
  passOnToChildren()
}

function measure(folder: string, countersPath: string): void {
  const layout: Layout = JSON.parse(readFileSync(join(folder, 'layout.json'), 'utf8'))
  const counters = openCounters(countersPath, layout.counters)
  const byFile: Record<string, unknown> = {}
  // The instrumented code finds its counters there.
  Object.assign(globalThis, { __coverage__: byFile })
  Bun.plugin({
    name: 'coverage',
    setup(build) {
      const root = RegExp(`^${ROOT.replace(/[^\w/]/g, '\\$&')}/src/(?!console/page/).*\\.ts$`)
      build.onLoad({ filter: root }, ({ path }) => {
        const name = path.slice(ROOT.length + 1)
        byFile[name] = countersOf(layout.files[name]!, counters)
        return { contents: readFileSync(join(folder, name), 'utf8'), loader: 'ts' }
      })
    },
  })
}

function openCounters(path: string, length: number): Uint32Array {
  const descriptor = openSync(path, 'a', 0o666)
  ftruncateSync(descriptor, length * 4)
  closeSync(descriptor)
  try {
    chmodSync(path, 0o666)
  } catch {
    // Another user created the file and set its mode.
  }
  const bytes = Bun.mmap(path)
  return new Uint32Array(bytes.buffer, bytes.byteOffset, length)
}

function countersOf(
  { hash, offset, functions, statements, branches }: SourceFile,
  all: Uint32Array,
) {
  let at = offset
  const take = (length: number) => {
    at += length
    return all.subarray(at - length, at)
  }
  return {
    hash,
    s: take(statements.length),
    b: branches.map((paths) => take(paths.length)),
    f: new Uint32Array(functions),
  }
}

type Start = (command: string[], options?: { env?: Record<string, string> }) => unknown

function passOnToChildren(): void {
  const variables = Object.fromEntries(INHERITED.map((name) => [name, process.env[name] ?? '']))
  for (const name of ['spawn', 'spawnSync'] as const) {
    const start = Bun[name] as unknown as Start
    const startCounting: Start = (command, options) =>
      command[0] === process.execPath && options?.env !== undefined
        ? start(command, { ...options, env: { ...options.env, ...variables } })
        : start(command, options)
    Object.assign(Bun, { [name]: startCounting })
  }
}
