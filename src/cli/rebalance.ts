import { readNodes, readPlacement } from '../platform/postgres/citus/distribute.ts'
import {
  completeNodes,
  type Move,
  moveSlice,
  planMoves,
  readLayout,
} from '../platform/postgres/citus/rebalance.ts'
import { connectAsOwner, type Sql } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { readConfig } from '../service/config.ts'
import { explainFailure } from './failure.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook rebalance [--dry-run]\n' +
  'Moves shards between the workers of the Citus cluster in DATABASE_URL until they are spread\n' +
  'evenly, and workers that must not have shards have none. Services may keep running.\n' +
  '--dry-run prints the moves without making them.'

/** Spreads the shards of a Citus cluster evenly over its workers. */
export async function rebalance(args: string[]): Promise<void> {
  const isDry = args[0] === '--dry-run'
  if (args.length > (isDry ? 1 : 0)) throw new UserError(USAGE)
  const { databaseUrl } = readConfig(process.env)
  if (databaseUrl === null) {
    throw new UserError('DATABASE_URL must name a database on the Citus coordinator.')
  }
  const owner = connectAsOwner({ url: databaseUrl })
  try {
    await moveAll(owner, isDry)
  } catch (error) {
    throw explainFailure(error, 'Rebalancing failed; shards that were moved stay where they are')
  } finally {
    await owner.end({ timeout: 5 })
  }
}

async function moveAll(owner: Sql, isDry: boolean): Promise<void> {
  if ((await readPlacement(owner)) !== 'distributed') {
    throw new UserError(
      'The tables of this database are not distributed over Citus workers: run ' +
        '`tallybook init --citus` first.',
    )
  }
  const { workers, slices } = await readLayout(owner)
  const moves = planMoves(workers, slices)
  if (!isDry && moves.length > 0) await completeNodes(owner)
  for (const move of moves) {
    if (!isDry) await moveOne(owner, move)
    console.log(`${isDry ? 'would move' : 'moved'} ${describe(move)}`)
  }
  if (isDry && moves.length > 0) return
  for (const { node, shards } of await readNodes(owner)) console.log(`${node} has shard ${shards}`)
}

/** Throws UserError with the database's reason, usually a setting of a node. */
async function moveOne(owner: Sql, move: Move): Promise<void> {
  try {
    await moveSlice(owner, move)
  } catch (error) {
    const { message, detail, hint } = error as Error & { detail?: string; hint?: string }
    const why = [message, detail, hint].filter(Boolean).join(' ')
    throw new UserError(
      `Could not move ${describe(move)}: ${why}\n` +
        'Shards that were moved stay where they are: fix the cause, then run this again.',
      { cause: error },
    )
  }
}

const describe = ({ slice: { shards, id }, from, to }: Move) =>
  `${shards.length > 0 ? `shard ${shards.join(', ')}` : `an empty Citus shard (${id})`} ` +
  `from ${from.name} to ${to.name}`
