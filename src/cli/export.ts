import { version } from '../../package.json'
import { writeParquet } from '../archive/parquet.ts'
import type { SignedHeads } from '../archive/transparency.ts'
import { writeArchive } from '../archive/write.ts'
import { readHeads } from '../log/read.ts'
import { openPools, type Sql } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { readSignedHeads } from '../proofs/transparency/origin.ts'
import { openArchive } from '../retention/open.ts'
import { readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { untilInterrupted } from './interrupt.ts'
import { lowerPriority } from './priority.ts'
import { Progress } from './progress.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = 'Usage: tallybook export <directory> | export --parquet <file>'

/** Writes the log to an archive, or the entries of its flushes to a Parquet file. */
export async function exportLog(args: string[]): Promise<void> {
  const isParquet = args[0] === '--parquet'
  const [target, ...rest] = isParquet ? args.slice(1) : args
  if (!target || target.startsWith('-') || rest.length > 0) throw new UserError(USAGE)
  lowerPriority()
  const signal = untilInterrupted()
  const config = readConfig(process.env)
  const database = await openDatabase(config, console.error)
  const pools = openPools(database.address, 1)
  const archive = openArchive(database.address, pools, config.archive)
  const progress = new Progress('export')
  const write = isParquet ? writeEntries : writeLog
  let wrote: string
  try {
    // The log of a running service may have another number of shards than this environment.
    const heads = await readHeads(pools.read)
    wrote = await write({
      sql: pools.read,
      target,
      signal,
      onProgress: (done, total) => progress.update(done, total),
      // Read before the log, so that the log has every event that a head covers.
      signed: (await readSignedHeads(config.dataDir, heads.length, config.logKeys)) ?? undefined,
    })
  } catch (error) {
    throw explainFailure(error, `Nothing was exported to ${target}`)
  } finally {
    progress.end()
    await archive.close()
    await pools.close()
    await database.close()
  }
  console.log(`Exported ${wrote} to ${target}`)
}

type Export = {
  sql: Sql
  target: string
  signal: AbortSignal
  onProgress: (done: number, total: number) => void
  signed: SignedHeads | undefined
}

/** Writes to the target; returns a description of the output. */
type Write = (options: Export) => Promise<string>

const writeLog: Write = async ({ target, ...options }) => {
  const { events } = await writeArchive({ ...options, directory: target, version })
  return `${events} events`
}

const writeEntries: Write = async ({ sql, target: file, signal, onProgress }) => {
  const outcome = await writeParquet({ sql, file, version, signal, onProgress })
  const { events, entries, unreadable } = outcome
  const omitted = unreadable > 0 ? ` (without ${unreadable} unreadable events)` : ''
  return `${entries} entries of ${events} events${omitted}`
}
