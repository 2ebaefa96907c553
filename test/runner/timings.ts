import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CACHE } from './cache.ts'
import type { Run } from './queue.ts'

/** Milliseconds by run, as the last run on this machine measured them. */
const MEASURED = join(CACHE, 'timings.json')
/** Those that the repository brings, for a machine that has measured none. */
const SHIPPED = join(import.meta.dir, 'timings.json')

/** Milliseconds for a file of which nothing is known: a new one may be long, so it begins early. */
const UNKNOWN_MS = 10_000

const nameOf = ({ file, shards }: Run) => (shards === 1 ? file : `${file} ${shards}`)

/** How long test files take, to begin with the longest. */
export class Timings {
  constructor(private readonly ms: Record<string, number>) {}

  static async load(): Promise<Timings> {
    const [shipped, measured] = await Promise.all([SHIPPED, MEASURED].map(read))
    return new Timings({ ...shipped, ...measured })
  }

  of(run: Run): number {
    return this.ms[nameOf(run)] ?? this.ms[run.file] ?? UNKNOWN_MS
  }

  note(run: Run, ms: number): void {
    this.ms[nameOf(run)] = Math.round(ms)
  }

  /** Written beside and renamed: runs may end at the same time. */
  async save(): Promise<void> {
    await mkdir(dirname(MEASURED), { recursive: true })
    const draft = `${MEASURED}.${process.pid}`
    await writeFile(draft, JSON.stringify(this.ms, Object.keys(this.ms).sort(), 1))
    await rename(draft, MEASURED)
  }

  /** The slowest of some runs, a line each. */
  slowest(runs: readonly Run[], count: number): string[] {
    return [...runs]
      .sort((a, b) => this.of(b) - this.of(a))
      .slice(0, count)
      .map((run) => `${(this.of(run) / 1_000).toFixed(1).padStart(7)} s  ${nameOf(run)}`)
  }
}

async function read(path: string): Promise<Record<string, number>> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return {}
  }
}
