import { readFile, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { GENERATOR } from './load.ts'
import type { BesideRow } from './sections/beside.ts'
import type { Collect } from './sections/collect.ts'
import type { ConsoleRow } from './sections/console.ts'
import type { Costs } from './sections/costs.ts'
import type { DimensionsRow } from './sections/dimensions.ts'
import type { Footprint } from './sections/footprint.ts'
import type { IngestRow } from './sections/ingest.ts'
import type { NoisyRow } from './sections/noisy.ts'
import type { ReadRow } from './sections/reads.ts'
import type { RebuildRow } from './sections/rebuild.ts'
import type { Retention } from './sections/retention.ts'
import type { Shards } from './sections/shards.ts'
import type { TransparencyRow } from './sections/transparency.ts'

/** Result types of the sections. */
export type Sections = {
  ingest: IngestRow[]
  rebuild: RebuildRow[]
  beside: BesideRow[]
  reads: ReadRow[]
  footprint: Footprint
  transparency: TransparencyRow[]
  dimensions: DimensionsRow[]
  collect: Collect
  console: ConsoleRow[]
  costs: Costs
  shards: Shards
  noisy: NoisyRow[]
  retention: Retention
}
export type SectionName = keyof Sections

/** Date, machine, software and durability settings of a measured section. */
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

export const FOLDER = join(import.meta.dir, '../docs/measurements/performance')
const FILE = join(FOLDER, 'results.json')

/** Reads the last result of each section; empty if the file does not exist. */
export async function readResults(file = FILE): Promise<Results> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Results
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return {}
    throw error
  }
}

export const writeResults = (results: Results, file = FILE) =>
  writeFile(file, `${JSON.stringify(results, null, 1)}\n`)

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
