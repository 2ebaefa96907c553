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
import { Segments } from '../segments/create.ts'
import { type Config, readConfig } from '../service/config.ts'
import { type CommandDatabase, openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { Interrupted, untilInterrupted } from './interrupt.ts'
import { Progress } from './progress.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE = `Usage: tallybook import <directory> [--reshard]
  --reshard   distribute the events over TALLYBOOK_SHARDS shards, if the archive has another number`

/** The archive to import, and the number of shards to import it into. */
type Source = {
  directory: string
  manifest: Manifest
  manifestSha256: string
  reshard: boolean
  shards: number
}

/** Imports an archive into an empty log, then folds the log into the projections. */
export async function importLog(args: string[]): Promise<void> {
  const { directory, reshard } = readOptions(args)
  const signal = untilInterrupted()
  const archive = await readManifest(directory)
  const config = reshard ? await configForReshard(directory, archive) : configFor(archive.manifest)
  const { shards } = config
  const source: Source = { directory, ...archive, reshard, shards }
  const database = await open(config, source)
  const pools = openPools(database.address, shards)
  let summary: string
  try {
    const { segmentBytes } = config
    const { reserve } = new Segments({
      address: database.address,
      sql: pools.control,
      segmentBytes,
    })
    const { positions, skipped } = await insert(pools, { ...source, reserve }, signal)
    summary = describe(source, skipped)
    await fold(pools, positions, signal)
  } finally {
    await pools.close()
    await database.close()
  }
  console.log(summary)
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

/** Returns the configuration with the archive's number of shards, for a database created now. */
function configFor({ shards }: Manifest): Config {
  const config = readConfig(process.env)
  if (!process.env.TALLYBOOK_SHARDS?.trim()) return { ...config, shards: shards.length }
  if (config.shards === shards.length) return config
  throw new UserError(
    `The archive has ${shards.length} shard(s), but TALLYBOOK_SHARDS is ${config.shards}. ` +
      '`tallybook import <directory> --reshard` distributes its events over that number of ' +
      'shards; docs/guides/resharding.md lists the consequences.',
  )
}

/**
 * Returns the configuration with the requested number of shards. Throws UserError if the data
 * directory's origin must not sign the resharded log.
 */
async function configForReshard(
  directory: string,
  { manifest }: { manifest: Manifest },
): Promise<Config> {
  const config = readConfig(process.env)
  if (!process.env.TALLYBOOK_SHARDS?.trim()) {
    throw new UserError('--reshard requires TALLYBOOK_SHARDS: set it to the new number of shards.')
  }
  if (config.shards === manifest.shards.length) {
    throw new UserError(
      `The archive already has TALLYBOOK_SHARDS (${config.shards}) shard(s): import it without ` +
        '--reshard, so that all positions stay as they are.',
    )
  }
  const { heads } = await readSignedHeads(directory, manifest)
  const { dataDir, logOrigin, logKeys } = config
  await refuseOldOrigin(dataDir, logOrigin, logKeys, [...heads.values()])
  return config
}

async function open(config: Config, source: Source): Promise<CommandDatabase> {
  try {
    return await openDatabase(config, console.error, { create: true })
  } catch (error) {
    throw explainShards(error, source)
  }
}

/**
 * Explains ShardsDiffer for an import without --reshard, which takes the archive's number of
 * shards; returns any other error unchanged.
 */
function explainShards(error: unknown, { manifest, reshard }: Source): unknown {
  if (reshard || !(error instanceof ShardsDiffer)) return error
  return new UserError(
    `The archive has ${manifest.shards.length} shard(s), but the database was created with ` +
      `${error.made}: use another database, or distribute the events over that number of shards ` +
      `with \`TALLYBOOK_SHARDS=${error.made} tallybook import <directory> --reshard\`.`,
  )
}

async function insert(
  pools: Pools,
  source: Source & { reserve: Segments['reserve'] },
  signal: AbortSignal,
) {
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
  const omitted = skipped === 0 ? '' : ` (without ${skipped} service events about the old log)`
  return (
    `Imported ${manifest.events - skipped} events from ${directory}${omitted}, resharded from ` +
    `${manifest.shards.length} shard(s) to ${shards}`
  )
}

async function fold(pools: Pools, heads: Positions, signal: AbortSignal): Promise<void> {
  const progress = new Progress('fold')
  try {
    await foldLog(pools, heads, signal, (done, total) => progress.update(done, total))
  } catch (error) {
    const state = 'The whole log is imported; a service started on it folds the rest'
    if (error instanceof Interrupted) throw new Interrupted(`${state}.`)
    throw explainFailure(error, state)
  } finally {
    progress.end()
  }
}
