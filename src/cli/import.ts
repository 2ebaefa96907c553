import { importArchive } from '../archive/import.ts'
import type { Manifest } from '../archive/manifest.ts'
import { openArchive } from '../archive/open.ts'
import { type Config, readConfig } from '../config.ts'
import { ShardsDiffer } from '../db/migrate.ts'
import { openPools, type Pools } from '../db/pool.ts'
import { foldLog } from '../projector/fold-log.ts'
import { StartError } from '../start-error.ts'
import { type CommandDatabase, openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { Progress } from './progress.ts'

const USAGE = 'Usage: tallybook import <directory>'

/** Fills an empty log with an archive, and folds it. */
export async function importLog(args: string[]): Promise<void> {
  const [directory, ...rest] = args
  if (!directory || directory.startsWith('-') || rest.length > 0) throw new StartError(USAGE)
  const signal = untilInterrupted()
  const manifest = await readManifest(directory)
  const config = configFor(manifest)
  const database = await open(config, manifest)
  const pools = openPools(database.address, config.shards)
  try {
    await insert(pools, directory, manifest, signal)
    await fold(pools, manifest, signal)
  } finally {
    await pools.close()
    await database.close()
  }
  console.log(`Imported ${manifest.events} events from ${directory}`)
}

async function readManifest(directory: string): Promise<Manifest> {
  const { manifest, problems } = await openArchive(directory)
  if (manifest !== null && problems.length === 0) return manifest
  const { file, message } = problems[0]!
  throw new StartError(`Nothing was imported. ${file}: ${message}.`)
}

/** With the archive's number of shards, for a database that is made now. */
function configFor({ shards }: Manifest): Config {
  const config = readConfig(process.env)
  if (!process.env.TALLYBOOK_SHARDS?.trim()) return { ...config, shards: shards.length }
  if (config.shards === shards.length) return config
  throw new StartError(
    `The archive is of ${shards.length} shard(s), and TALLYBOOK_SHARDS is ${config.shards}: ` +
      'the number can not change on the way.',
  )
}

async function open(config: Config, { shards }: Manifest): Promise<CommandDatabase> {
  try {
    return await openDatabase(config, console.error, { create: true })
  } catch (error) {
    if (!(error instanceof ShardsDiffer)) throw error
    throw new StartError(
      `The archive is of ${shards.length} shard(s), and the database was made with ` +
        `${error.made}: it needs another database.`,
    )
  }
}

async function insert(pools: Pools, directory: string, manifest: Manifest, signal: AbortSignal) {
  const progress = new Progress('import')
  try {
    await importArchive({
      sql: pools.project,
      directory,
      manifest,
      signal,
      onProgress: (events, total) => progress.update(events, total),
    })
  } catch (error) {
    throw explainFailure(error, 'Nothing was imported')
  } finally {
    progress.end()
  }
}

async function fold(pools: Pools, manifest: Manifest, signal: AbortSignal): Promise<void> {
  const heads = manifest.shards.map(({ events }) => events - 1)
  const progress = new Progress('fold')
  try {
    await foldLog(pools, heads, signal, (done, total) => progress.update(done, total))
  } catch (error) {
    const state = 'The log is imported whole; a service that starts on it folds the rest'
    if (error instanceof Interrupted) throw new Interrupted(`${state}.`)
    throw explainFailure(error, state)
  } finally {
    progress.end()
  }
}
