import { connectAsOwner, openPools } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { PROJECTIONS } from '../read-model/projections/index.ts'
import type { Projection } from '../read-model/projections/projection.ts'
import { readShards } from '../read-model/projector/checkpoint.ts'
import { type Rebuilt, rebuild as runRebuild } from '../read-model/rebuild/rebuild.ts'
import type { Drift } from '../read-model/rebuild/record.ts'
import { openArchive } from '../retention/open.ts'
import { align } from '../rollups/align.ts'
import { readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'
import { explainFailure } from './failure.ts'
import { untilInterrupted } from './interrupt.ts'
import { lowerPriority } from './priority.ts'
import { Progress } from './progress.ts'

const NAMES = PROJECTIONS.map(({ name }) => name)
/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook rebuild [--changed] [--projection <name>] ...\n' +
  `Projections: ${NAMES.join(', ')}; without one, all of them. --changed: only those that ` +
  'an older version built. The service may keep running.'

/** Drifted rows printed per projection. */
const MAX_PRINTED = 20

/**
 * Recomputes the projections from the first event, alongside those that readers see, reports where
 * they differ, and makes the new ones live.
 */
export async function rebuild(args: string[]): Promise<void> {
  const onlyChanged = args[0] === '--changed'
  const projections = readArguments(onlyChanged ? args.slice(1) : args)
  lowerPriority()
  const signal = untilInterrupted()
  const config = readConfig(process.env)
  const database = await openDatabase(config, (message) => console.error(message))
  const owner = connectAsOwner(database.address)
  const progress = new Progress('rebuild')
  try {
    const shards = await readShards(owner)
    const pools = openPools(database.address, shards)
    const archive = openArchive(database.address, pools, config.archive)
    try {
      const outcome = await runRebuild({
        ...{ owner, project: pools.project, projections, onlyChanged, signal, align },
        onProgress: ({ folded, total }) => progress.update(folded, total),
      }).finally(() => progress.end())
      if ('underWay' in outcome) {
        throw new UserError(`A rebuild is already running for ${outcome.underWay.join(', ')}.`)
      }
      for (const rebuilt of outcome.rebuilt) report(rebuilt)
    } catch (error) {
      throw explainFailure(error, 'The rebuild failed; readers still see the previous rows')
    } finally {
      await archive.close()
      await pools.close()
    }
  } finally {
    await owner.end({ timeout: 5 })
    await database.close()
  }
}

function readArguments(args: string[]): Projection[] {
  const chosen = new Set<Projection>()
  for (let i = 0; i < args.length; i += 2) {
    const projection = PROJECTIONS.find(({ name }) => name === args[i + 1])
    if (args[i] !== '--projection' || !projection) throw new UserError(USAGE)
    chosen.add(projection)
  }
  return chosen.size === 0 ? [...PROJECTIONS] : [...chosen]
}

function report({ projection, generation, differences }: Rebuilt): void {
  const found =
    differences === null
      ? 'not compared, as another version built the previous one'
      : `rows that differed: ${differences.rows}`
  console.log(`${projection}: generation ${generation} is live, ${found}`)
  for (const drift of differences?.first.slice(0, MAX_PRINTED) ?? [])
    console.log(formatDrift(drift))
  const more = (differences?.rows ?? 0) - MAX_PRINTED
  if (more > 0) console.log(`  and ${more} more`)
}

/** `  api_key_counters shard=0 api_key_id=7: was requests=11 successes=9, is requests=10 …` */
function formatDrift({ table, key, live, rebuilt }: Drift): string {
  const format = (row: Drift['live']) =>
    row === null
      ? 'missing'
      : Object.entries(row)
          .map(([name, value]) => `${name}=${value}`)
          .join(' ')
  return `  ${table} ${format(key)}: was ${format(live)}, is ${format(rebuilt)}`
}
