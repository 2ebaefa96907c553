import { version } from '../../package.json'
import { writeParquet } from '../archive/parquet.ts'
import { writeArchive } from '../archive/write.ts'
import { readConfig } from '../config.ts'
import { openPools, type Sql } from '../db/pool.ts'
import { StartError } from '../start-error.ts'
import { openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { untilInterrupted } from './interrupt.ts'
import { lowerPriority } from './priority.ts'
import { Progress } from './progress.ts'

const USAGE = 'Usage: tallybook export <directory> | export --parquet <file>'

/** Writes the log to an archive, or the entries of its flushes to a Parquet file. */
export async function exportLog(args: string[]): Promise<void> {
  const isParquet = args[0] === '--parquet'
  const [target, ...rest] = isParquet ? args.slice(1) : args
  if (!target || target.startsWith('-') || rest.length > 0) throw new StartError(USAGE)
  lowerPriority()
  const signal = untilInterrupted()
  const database = await openDatabase(readConfig(process.env), console.error)
  const pools = openPools(database.address, 1)
  const progress = new Progress('export')
  const write = isParquet ? writeEntries : writeLog
  let wrote: string
  try {
    wrote = await write(pools.read, target, signal, (done, total) => progress.update(done, total))
  } catch (error) {
    throw explainFailure(error, `Nothing was exported to ${target}`)
  } finally {
    progress.end()
    await pools.close()
    await database.close()
  }
  console.log(`Exported ${wrote} to ${target}`)
}

/** Writes to the target and says what. */
type Write = (
  sql: Sql,
  target: string,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
) => Promise<string>

const writeLog: Write = async (sql, directory, signal, onProgress) => {
  const { events } = await writeArchive({ sql, directory, version, signal, onProgress })
  return `${events} events`
}

const writeEntries: Write = async (sql, file, signal, onProgress) => {
  const outcome = await writeParquet({ sql, file, version, signal, onProgress })
  const { events, entries, unreadable } = outcome
  const left = unreadable > 0 ? ` (without ${unreadable} events that can not be read)` : ''
  return `${entries} entries of ${events} events${left}`
}
