import { importArchive } from '../archive/import.ts'
import type { Manifest } from '../archive/manifest.ts'
import { openArchive } from '../archive/open.ts'
import { reshardArchive } from '../archive/reshard/reshard.ts'
import { readSignedHeads } from '../archive/transparency.ts'
import type { Positions } from '../events/positions.ts'
import { ShardsDiffer } from '../platform/postgres/migrate.ts'
import { openPools, type Pools } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { refuseOldOrigin } from '../proofs/transparency/old-origin.ts'
import { foldLog } from '../read-model/projector/catch-up.ts'
import { type Config, readConfig } from '../service/config.ts'
import { type CommandDatabase, openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { Progress } from './progress.ts'

const USAGE = `Usage: tallybook import <directory> [--reshard]
  --reshard   deals the events to TALLYBOOK_SHARDS shards, another number than the archive's`

/** What is imported, and into how many shards. */
type Source = {
  directory: string
  manifest: Manifest
  manifestSha256: string
  reshard: boolean
  shards: number
}

/** Fills an empty log with an archive, and folds it. */
export async function importLog(args: string[]): Promise<void> {
  const { directory, reshard } = readOptions(args)
  const signal = untilInterrupted()
  const archive = await readManifest(directory)
  const config = reshard ? await configForReshard(directory, archive) : configFor(archive.manifest)
  const { shards } = config
  const source: Source = { directory, ...archive, reshard, shards }
  const database = await open(config, source)
  const pools = openPools(database.address, shards)
  let said: string
  try {
    const { positions, skipped } = await insert(pools, source, signal)
    said = describe(source, skipped)
    await fold(pools, positions, signal)
  } finally {
    await pools.close()
    await database.close()
  }
  console.log(said)
}

function readOptions(args: string[]): { directory: string; reshard: boolean } {
  const [directory, ...rest] = args.filter((arg) => arg !== '--reshard')
  if (!directory || directory.startsWith('-') || rest.length > 0) throw new UserError(USAGE)
  return { directory, reshard: args.includes('--reshard') }
}

async function readManifest(directory: string) {
  const { manifest, sha256, problems } = await openArchive(directory)
  if (manifest !== null && problems.length === 0) return { manifest, manifestSha256: sha256 }
  const { file, message } = problems[0]!
  throw new UserError(`Nothing was imported. ${file}: ${message}.`)
}

/** With the archive's number of shards, for a database that is made now. */
function configFor({ shards }: Manifest): Config {
  const config = readConfig(process.env)
  if (!process.env.TALLYBOOK_SHARDS?.trim()) return { ...config, shards: shards.length }
  if (config.shards === shards.length) return config
  throw new UserError(
    `The archive is of ${shards.length} shard(s), and TALLYBOOK_SHARDS is ${config.shards}. ` +
      '`tallybook import <directory> --reshard` deals its events to that number; what follows ' +
      'from that is in docs/scale.md.',
  )
}

/** With the number of shards that is wanted, and a data directory that may sign such a log. */
async function configForReshard(
  directory: string,
  { manifest }: { manifest: Manifest },
): Promise<Config> {
  const config = readConfig(process.env)
  if (!process.env.TALLYBOOK_SHARDS?.trim()) {
    throw new UserError('--reshard needs TALLYBOOK_SHARDS: to how many shards?')
  }
  if (config.shards === manifest.shards.length) {
    throw new UserError(
      `The archive is of ${config.shards} shard(s), as TALLYBOOK_SHARDS says: import it without ` +
        '--reshard, and all positions stay as they are.',
    )
  }
  const { heads } = await readSignedHeads(directory, manifest)
  await refuseOldOrigin(config.dataDir, config.logOrigin, [...heads.values()])
  return config
}

async function open(config: Config, source: Source): Promise<CommandDatabase> {
  try {
    return await openDatabase(config, console.error, { create: true })
  } catch (error) {
    throw explainShards(error, source)
  }
}

/** Who deals has said a number of shards; else it is the archive's. */
function explainShards(error: unknown, { manifest, reshard }: Source): unknown {
  if (reshard || !(error instanceof ShardsDiffer)) return error
  return new UserError(
    `The archive is of ${manifest.shards.length} shard(s), and the database was made with ` +
      `${error.made}: it needs another database, or ` +
      `\`TALLYBOOK_SHARDS=${error.made} tallybook import <directory> --reshard\` deals its ` +
      'events to that number.',
  )
}

async function insert(pools: Pools, source: Source, signal: AbortSignal) {
  const progress = new Progress('import')
  const options = {
    ...source,
    sql: pools.project,
    signal,
    onProgress: (events: number, total: number) => progress.update(events, total),
  }
  try {
    if (source.reshard) return await reshardArchive(options)
    return { positions: await importArchive(options), skipped: 0 }
  } catch (error) {
    throw explainFailure(explainShards(error, source), 'Nothing was imported')
  } finally {
    progress.end()
  }
}

function describe({ directory, manifest, reshard, shards }: Source, skipped: number): string {
  if (!reshard) return `Imported ${manifest.events} events from ${directory}`
  const left = skipped === 0 ? '' : ` (without ${skipped} statements about the log that it is of)`
  return (
    `Imported ${manifest.events - skipped} events from ${directory}${left}, dealt from ` +
    `${manifest.shards.length} shard(s) to ${shards}`
  )
}

async function fold(pools: Pools, heads: Positions, signal: AbortSignal): Promise<void> {
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
