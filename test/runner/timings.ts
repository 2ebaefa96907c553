import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CACHE } from './cache.ts'
import type { Run } from './queue.ts'

/** The milliseconds of each run as last measured on this machine. */
const MEASURED = join(CACHE, 'timings.json')
/** The timings in the repository, for a machine that has measured none. */
const SHIPPED = join(import.meta.dir, 'timings.json')

/** Milliseconds assumed for an unknown file: a new one may be long, so it starts early. */
const UNKNOWN_MS = 10_000

const nameOf = ({ file, shards }: Run) => (shards === 1 ? file : `${file} ${shards}`)

/** The durations of test files, so that the longest start first. */
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

  /** Writes a temporary file and renames it, because runs may end at the same time. */
  async save(): Promise<void> {
    await mkdir(dirname(MEASURED), { recursive: true })
    const draft = `${MEASURED}.${process.pid}`
    await writeFile(draft, JSON.stringify(this.ms, Object.keys(this.ms).sort(), 1))
    await rename(draft, MEASURED)
  }

  /** Returns a line for each of the `count` slowest runs. */
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
