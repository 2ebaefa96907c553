import { readFile, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { GENERATOR } from './load.ts'
import type { BesideRow } from './sections/beside.ts'
import type { Footprint } from './sections/footprint.ts'
import type { IngestRow } from './sections/ingest.ts'
import type { ReadRow } from './sections/reads.ts'
import type { RebuildRow } from './sections/rebuild.ts'
import type { TransparencyRow } from './sections/transparency.ts'

/** What each section measured. */
export type Sections = {
  ingest: IngestRow[]
  rebuild: RebuildRow[]
  beside: BesideRow[]
  reads: ReadRow[]
  footprint: Footprint
  transparency: TransparencyRow[]
}
export type SectionName = keyof Sections

/** Where and when a section was measured, and how durable its database was. */
export type Conditions = {
  date: string
  machine: string
  bun: string
  load: string
  database: Record<string, string>
}

export type Results = {
  [Name in SectionName]?: { conditions: Conditions; result: Sections[Name] }
}

export const FOLDER = join(import.meta.dir, '../docs/performance')
const FILE = join(FOLDER, 'results.json')

/** What was measured last, section by section. */
export async function readResults(): Promise<Results> {
  try {
    return JSON.parse(await readFile(FILE, 'utf8')) as Results
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return {}
    throw error
  }
}

export const writeResults = (results: Results) =>
  writeFile(FILE, `${JSON.stringify(results, null, 1)}\n`)

export function describeConditions(database: Record<string, string>): Conditions {
  const model = cpus()[0]?.model ?? 'unknown processor'
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${model}, ${memory}, ${type()} ${release()}`,
    bun: Bun.version,
    load: GENERATOR,
    database,
  }
}
