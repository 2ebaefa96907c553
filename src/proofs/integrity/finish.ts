import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { type Standing, whileLive } from './checkpoints.ts'
import { compareTable } from './compare.ts'
import { checkParked } from './parked.ts'
import type { Problem, Problems } from './problem.ts'
import type { Refold, Target } from './refold.ts'
import { type CatalogWalk, checkCatalogPosition } from './shards.ts'
import { checkTiles } from './tiles.ts'
import type { Walk } from './walk.ts'

/** Milliseconds between two tries, and their number, to meet checkpoints that fit together. */
const RETRY_MS = 200
const TRIES = 15

/**
 * The end of a shard's walk: in one snapshot, folds what is missing to the checkpoints and compares
 * all that readers see.
 */
export async function finishShard(
  sql: Sql,
  walk: Walk,
  catalog: CatalogWalk,
  problems: Problems,
): Promise<void> {
  for (const refold of walk.folded.keys()) {
    const target = walk.targetOf(refold)
    if (!target || !refold.compareClosed) continue
    const found = await refold.compareClosed(sql, target)
    problems.add(await whileLive(sql, refold.projection, target.generation, found))
  }
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
 * Null where a projection stands before what is folded of it, or before one that moves with it, but
 * for the last try: a rebuilt generation goes live a moment behind the one before.
 */
async function compareAll(
  transaction: Transaction,
  walk: Walk,
  catalog: CatalogWalk,
  isLastTry: boolean,
): Promise<Problem[] | null> {
  const { shard, folded } = walk
  const standings = await walk.finish(transaction)
  const targets = [...folded.keys()].map((refold) => ({ refold, target: walk.targetOf(refold) }))
  const positionOf = ({ projection }: Refold) => standings.get(projection)?.position ?? -1
  const isBehind = (refold: Refold) => positionOf(refold) < folded.get(refold)!
  const apart = [...folded.keys()].filter((refold) => isApart(refold, folded.keys(), standings))
  const isOdd = apart.length > 0 || targets.some(({ refold, target }) => target && isBehind(refold))
  if (isOdd && !isLastTry) return null

  const foldedUpTo = Math.max(-1, ...[...standings.values()].map(({ position }) => position))
  const problems = [
    ...(await checkTiles(transaction, shard)),
    ...(await checkCatalogPosition(transaction, shard, catalog)),
    ...(await checkParked(transaction, shard, foldedUpTo)),
  ]
  for (const { refold, target } of targets) {
    // A checkpoint that is missing is told of by the check of the checkpoints.
    if (target === null) continue
    if (isBehind(refold)) {
      problems.push(wrongCheckpoint(refold, target, positionOf(refold), folded.get(refold)!))
    } else if (apart.includes(refold)) {
      problems.push(wrongCheckpoint(refold, target, positionOf(refold), foldedUpTo))
    } else problems.push(...(await compareOne(transaction, walk, refold, target, standings)))
  }
  return problems
}

/** True where other projections of its track, which move with it, are further on. */
function isApart(
  refold: Refold,
  all: Iterable<Refold>,
  standings: ReadonlyMap<string, Standing>,
): boolean {
  const own = standings.get(refold.projection)?.position
  return [...all].some(({ projection, group }) => {
    const other = standings.get(projection)?.position
    return group === refold.group && own !== undefined && other !== undefined && other > own
  })
}

const wrongCheckpoint = (
  { projection }: Refold,
  { shard, generation }: Target,
  position: number,
  expected: number,
): Problem => ({
  check: 'checkpoints',
  at: `checkpoints ${shard}/${projection}/${generation}`,
  expected: `position ${expected}`,
  found: `position ${position}`,
})

async function compareOne(
  transaction: Transaction,
  walk: Walk,
  refold: Refold,
  target: Target,
  standings: ReadonlyMap<string, Standing>,
): Promise<Problem[]> {
  const { position } = standings.get(refold.projection)!
  const problems = await compareTables(transaction, refold, target, position)
  if (problems.length === 0) return []
  // Maybe the rows are right and the checkpoint is not: then they are where others are.
  const others = [...standings.values()].map((standing) => standing.position)
  for (const other of [...new Set(others)].filter((at) => at > position).sort((a, b) => a - b)) {
    await walk.extend(transaction, refold, other)
    if ((await compareTables(transaction, refold, target, other)).length > 0) continue
    return [wrongCheckpoint(refold, target, position, other)]
  }
  return problems
}

async function compareTables(
  transaction: Transaction,
  refold: Refold,
  target: Target,
  position: number,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const table of refold.tables) {
    if (table.isShown === false) continue
    problems.push(...(await compareTable(transaction, table, target)))
  }
  return [...problems, ...((await refold.compareEnd?.(transaction, target, position)) ?? [])]
}
