import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import type { LiveCheckpoint } from './checkpoints.ts'
import type { ProjectionGroup } from './groups/group.ts'
import { checkParked } from './parked.ts'
import type { Problem, Problems } from './problem.ts'
import { checkActPosition, checkCatalogPosition, type Shard0Walk } from './shards.ts'
import type { Target } from './tables.ts'
import { checkTiles } from './tiles.ts'
import type { Walk } from './walk.ts'

/** Milliseconds between two attempts to see consistent checkpoints, and their number. */
const RETRY_MS = 200
const TRIES = 15

type Checkpoints = ReadonlyMap<string, LiveCheckpoint>

/**
 * Ends the walk of a shard: in one snapshot, folds up to the checkpoints and compares everything
 * that readers see.
 */
export async function finishShard(
  sql: Sql,
  walk: Walk,
  catalog: Shard0Walk,
  problems: Problems,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const found = await transact(sql, 'isolation level repeatable read', (transaction) =>
      compareAll(transaction, walk, catalog, tries === TRIES),
    )
    if (found !== null) {
      problems.add(found)
      return
    }
    await Bun.sleep(RETRY_MS)
  }
}

/**
 * Returns null (try again) if a checkpoint is behind our fold, or behind another projection of its
 * group. A rebuilt generation can briefly go live behind its predecessor; the last try reports it
 * instead.
 */
async function compareAll(
  transaction: Transaction,
  walk: Walk,
  catalog: Shard0Walk,
  isLastTry: boolean,
): Promise<Problem[] | null> {
  const { shard, folded } = walk
  const checkpoints = await walk.finish(transaction)
  const lagging = [...folded].flatMap(([group, position]) =>
    laggingOf(group, position, checkpoints),
  )
  if (lagging.length > 0 && !isLastTry) return null
  const foldedThrough = Math.max(-1, ...[...checkpoints.values()].map(({ position }) => position))
  const problems = [
    ...(await checkTiles(transaction, shard)),
    ...(await checkCatalogPosition(transaction, shard, catalog)),
    ...(await checkActPosition(transaction, shard, catalog)),
    ...(await checkParked(transaction, shard, walk.unreadable, foldedThrough)),
    ...((await walk.recorded?.compare(transaction)) ?? []),
    ...lagging.map(({ projection, expected }) =>
      wrongCheckpoint(shard, projection, checkpoints.get(projection)!, expected),
    ),
  ]
  const names = new Set(lagging.map(({ projection }) => projection))
  for (const group of folded.keys()) {
    problems.push(...(await compareGroup(transaction, walk, group, checkpoints, names)))
  }
  return problems
}

/** Returns the projections with a checkpoint before `position`, to which their group is folded. */
const laggingOf = ({ projections }: ProjectionGroup, position: number, checkpoints: Checkpoints) =>
  projections.flatMap(({ projection }) => {
    const checkpoint = checkpoints.get(projection)
    // `checkCheckpoints` reports a missing one.
    if (checkpoint === undefined || checkpoint.position >= position) return []
    return [{ projection, expected: position }]
  })

const wrongCheckpoint = (
  shard: number,
  projection: string,
  { generation, position }: LiveCheckpoint,
  expected: number,
): Problem => ({
  check: 'checkpoints',
  at: `checkpoints ${shard}/${projection}/${generation}`,
  expected: `position ${expected}`,
  found: `position ${position}`,
})

async function compareGroup(
  transaction: Transaction,
  walk: Walk,
  group: ProjectionGroup,
  checkpoints: Checkpoints,
  lagging: ReadonlySet<string>,
): Promise<Problem[]> {
  const compared = [...walk.targetsOf(group)].filter(([projection]) => !lagging.has(projection))
  const position = walk.folded.get(group)!
  const problems = await compareTables(transaction, group, compared, position)
  if (problems.length === 0) return []
  // The rows may be right and the checkpoint wrong: then they match at another checkpoint.
  const others = new Set([...checkpoints.values()].map((checkpoint) => checkpoint.position))
  const further = [...others].filter((other) => other > position && other <= walk.head)
  for (const other of further.sort((a, b) => a - b)) {
    await walk.extend(transaction, group, other)
    if ((await compareTables(transaction, group, compared, other)).length > 0) continue
    return compared.map(([projection]) =>
      wrongCheckpoint(walk.shard, projection, checkpoints.get(projection)!, other),
    )
  }
  return problems
}

async function compareTables(
  transaction: Transaction,
  group: ProjectionGroup,
  compared: readonly (readonly [string, Target])[],
  position: number,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const [projection, target] of compared) {
    problems.push(...(await group.compare(transaction, projection, target, position)))
  }
  return problems
}
