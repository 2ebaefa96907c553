import { version } from '../../package.json'
import { writeArchive } from '../archive/write.ts'
import { readConfig } from '../config.ts'
import { openPools } from '../db/pool.ts'
import { StartError } from '../start-error.ts'
import { openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { untilInterrupted } from './interrupt.ts'
import { Progress } from './progress.ts'

const USAGE = 'Usage: tallybook export <directory>'

/** Writes the log to an archive, or its flush entries to a Parquet file. */
export async function exportLog(args: string[]): Promise<void> {
  const [target, ...rest] = args
  if (!target || target.startsWith('-') || rest.length > 0) throw new StartError(USAGE)
  const signal = untilInterrupted()
  const database = await openDatabase(readConfig(process.env), console.error)
  const pools = openPools(database.address, 1)
  const progress = new Progress('export')
  try {
    const manifest = await writeArchive({
      sql: pools.read,
      directory: target,
      version,
      signal,
      onProgress: (events, total) => progress.update(events, total),
    })
    progress.end()
    console.log(`Exported ${manifest.events} events to ${target}`)
  } catch (error) {
    progress.end()
    throw explainFailure(error, `Nothing was exported to ${target}`)
  } finally {
    await pools.close()
    await database.close()
  }
}
