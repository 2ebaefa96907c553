import { afterAll, beforeAll } from 'bun:test'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type postgres from 'postgres'
import type { Problem } from '../../src/archive/check.ts'
import { type ImportOptions, importArchive } from '../../src/archive/import.ts'
import type { Manifest } from '../../src/archive/manifest.ts'
import { openArchive } from '../../src/archive/open.ts'
import { writeParquet } from '../../src/archive/parquet.ts'
import { reshardArchive } from '../../src/archive/reshard/reshard.ts'
import { verifyArchive } from '../../src/archive/verify.ts'
import { type PartLimits, writeArchive } from '../../src/archive/write.ts'
import type { Positions } from '../../src/events/positions.ts'
import { readHeads } from '../../src/log/read.ts'
import { openPools, type ServerAddress } from '../../src/platform/postgres/pool.ts'
import { readSignedHeads } from '../../src/proofs/transparency/origin.ts'
import { foldLog } from '../../src/read-model/projector/catch-up.ts'
import {
  type ArchiveOptions,
  NO_ARCHIVE,
  openArchive as openSegments,
} from '../../src/retention/open.ts'
import { Segments } from '../../src/segments/create.ts'
import { runTallybook } from './process.ts'
import type { TestDatabase } from './server.ts'

const NEVER = new AbortController().signal
const onProgress = () => {}

/** Creates a temporary folder for archives. */
export async function makeFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'tallybook-archive-'))
  await chmod(path, 0o711)
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** A temporary folder for the archives of one file's tests. */
export function useFolder(): { path: string } {
  const folder = {} as Awaited<ReturnType<typeof makeFolder>>
  beforeAll(async () => {
    Object.assign(folder, await makeFolder())
  })
  afterAll(() => folder.remove?.())
  return folder
}

/** Starts a `tallybook` command on this database, as a service starts its own commands. */
export function startCommand(
  args: string[],
  address: ServerAddress,
  env: Record<string, string> = {},
  input?: string,
) {
  const TALLYBOOK_DATABASE_ADDRESS = JSON.stringify(address)
  return runTallybook(args, '/nowhere', { TALLYBOOK_DATABASE_ADDRESS, ...env }, input)
}

/** The progress line that a slow command prints every few seconds. */
const PROGRESS = /^\w+: [\d,]+ of [\d,]+, .*\n/gm

/** The text of a command's stderr without its progress lines. */
export const withoutProgress = (text: string): string => text.replace(PROGRESS, '')

/** Waits for a command and returns its output, without progress lines, and its exit code. */
export async function outcomeOf(command: ReturnType<typeof runTallybook>) {
  const [code, stdout, stderr] = await Promise.all([
    command.exited,
    command.stdout.text(),
    command.stderr.text(),
  ])
  return { code, stdout, stderr: withoutProgress(stderr) }
}

export const runCommand = (
  args: string[],
  address: ServerAddress,
  env: Record<string, string> = {},
) => outcomeOf(startCommand(args, address, env))

export type TestArchiveOptions = {
  /** The limits of a part, small ones to get many parts. */
  part?: PartLimits
  /** The data directory whose tree heads are included. */
  dataDir?: string
  /** Where old segments are; nothing has left the database if absent. */
  archive?: ArchiveOptions
}

/** Writes an archive in this process, as `tallybook export` does in its own. */
export async function writeTestArchive(
  { address }: TestDatabase,
  directory: string,
  { dataDir, part, archive = NO_ARCHIVE }: TestArchiveOptions = {},
): Promise<Manifest> {
  const pools = openPools(address, 1)
  const segments = openSegments(address, pools, archive)
  try {
    const shards = (await readHeads(pools.read)).length
    const signed = dataDir === undefined ? null : await readSignedHeads(dataDir, shards)
    const options = { sql: pools.read, directory, version: 'test', signal: NEVER, onProgress }
    const limits = part === undefined ? {} : { part }
    return await writeArchive({ ...options, ...limits, signed: signed ?? undefined })
  } finally {
    await segments.close()
    await pools.close()
  }
}

/** Writes a Parquet file in this process, as `tallybook export --parquet` does. */
export async function writeTestParquet(
  { address }: TestDatabase,
  file: string,
  archive = NO_ARCHIVE,
): Promise<void> {
  const pools = openPools(address, 1)
  const segments = openSegments(address, pools, archive)
  try {
    await writeParquet({ sql: pools.read, file, version: 'test', signal: NEVER, onProgress })
  } finally {
    await segments.close()
    await pools.close()
  }
}

/** Returns the problems of an archive, as `tallybook verify` prints them. */
export async function problemsOf(directory: string): Promise<string[]> {
  const problems: string[] = []
  const report = ({ file, at, message }: Problem) => {
    problems.push(`${file}${at === null ? '' : ` ${at}`}: ${message}`)
  }
  await verifyArchive({ directory, signal: NEVER, report, onProgress })
  return problems
}

/** Imports and folds in this process, as `tallybook import` does; returns the error, or null. */
export const importTestArchive = (
  database: TestDatabase,
  directory: string,
  segmentBytes?: number,
) => importBy(database, directory, 1, importArchive, segmentBytes)

/** Like `importTestArchive`, resharded as with `--reshard`. */
export const reshardTestArchive = (database: TestDatabase, directory: string, shards: number) =>
  importBy(database, directory, shards, async (options) => {
    const { positions } = await reshardArchive({ ...options, shards })
    return positions
  })

async function importBy(
  { address }: TestDatabase,
  directory: string,
  shards: number,
  run: (options: ImportOptions & { manifestSha256: string }) => Promise<Positions>,
  segmentBytes?: number,
): Promise<string | null> {
  const { manifest, sha256, problems } = await openArchive(directory)
  if (manifest === null || problems.length > 0) return `${problems[0]!.file}`
  const pools = openPools(address, shards)
  try {
    const { reserve } = new Segments({ address, sql: pools.control, segmentBytes })
    const options = { sql: pools.project, reserve, directory, manifest, signal: NEVER, onProgress }
    const heads = await run({ ...options, manifestSha256: sha256 })
    await foldLog(pools, heads, NEVER, onProgress)
    return null
  } catch (error) {
    return (error as Error).message
  } finally {
    await pools.close()
  }
}

/** Returns every row of a table as text, in an order that depends only on the rows. */
export async function dumpTable(owner: postgres.Sql, table: string): Promise<string[]> {
  const rows = await owner<{ row: string }[]>`
    select t::text as row from ${owner(table)} t order by t::text collate "C"`
  return rows.map(({ row }) => row)
}

export async function countEvents(owner: postgres.Sql): Promise<number> {
  const [row] = await owner<{ count: number }[]>`select count(*)::integer as count from events`
  return row!.count
}
