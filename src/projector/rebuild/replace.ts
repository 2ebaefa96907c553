import { isLockTimeout } from '../../db/errors.ts'
import { type Sql, type Transaction, transact } from '../../db/pool.ts'
import { snapshots } from '../../projections/snapshots.ts'
import { CheckpointMoved, type OnPass, type ShardFold } from '../shard-fold.ts'
import { compareTable, type Differences } from './compare.ts'
import type { Generation } from './generation.ts'

/** How often the live projector's lock is tried for, a second each: a pass may be that long. */
const LOCK_TRIES = 30

/**
 * Compares a generation with the live one, row by row, at the very same positions, and without
 * holding anybody up: the live rows are read in a transaction that saw them at their checkpoints,
 * and the new ones after they were folded to these.
 */
export async function compareGenerations(
  sql: Sql,
  made: Generation,
  folds: readonly ShardFold[],
  onPass: OnPass,
  signal: AbortSignal,
): Promise<Differences> {
  const { projection, generation, replaces } = made
  return transact(sql, 'isolation level repeatable read read only', async (transaction) => {
    // It waits for the fold, and for the other side's rows to be sorted.
    await transaction`select set_config('idle_in_transaction_session_timeout', '0', true)`
    await follow(transaction, made, folds, onPass, signal)
    const found: Differences = { rows: 0, first: [] }
    for (const table of projection.tables) {
      signal.throwIfAborted()
      const live = { sql: transaction, generation: replaces }
      const { rows, first } = await compareTable(table, live, { sql, generation })
      found.rows += rows
      found.first.push(...first)
    }
    return found
  })
}

/**
 * Makes a generation the one that readers see. The live projector is held up while the last events
 * are folded, so that no reader ever sees less than before; then the replaced generation's
 * checkpoints go, and whoever still folds into it fails and begins anew.
 *
 * All in one transaction: killed before its commit, nothing has changed.
 */
export async function replaceLive(
  owner: Sql,
  made: Generation,
  folds: readonly ShardFold[],
  onPass: OnPass,
  signal: AbortSignal,
): Promise<void> {
  const { generation, replaces } = made
  const { name, version } = made.projection
  await whenUnlocked(() =>
    transact(owner, '', async (transaction) => {
      await transaction`select set_config('lock_timeout', '1s', true)`
      await transaction`
        select
        from checkpoints c
        where c.projection = ${name} and c.generation = ${replaces}
        order by c.shard
        for update`
      await follow(transaction, made, folds, onPass, signal)
      await transaction`
        delete from checkpoints c where c.projection = ${name} and c.generation = ${replaces}`
      await transaction`
        update projections p
        set generation = ${generation}, version = ${version}, rebuilt_at = clock_timestamp()
        where p.projection = ${name} and p.generation = ${replaces}`
      const [ended] = await transaction`
        update rebuilds r
        set state = 'live', seen_at = clock_timestamp(), finished_at = clock_timestamp()
        where r.projection = ${name} and r.generation = ${generation} and r.finished_at is null
        returning r.generation`
      if (!ended) throw new CheckpointMoved('The rebuild was taken for dead.')
    }),
  )
  // From now on nobody begins to read the replaced one: see `sweepGenerations`.
  await owner`
    update rebuilds r
    set seen_at = clock_timestamp()
    where r.projection = ${name} and r.generation = ${generation}`
}

/** Folds each shard to where the live generation stands, over all the positions it stopped at. */
export async function follow(
  sql: Sql | Transaction,
  generation: Generation,
  folds: readonly ShardFold[],
  onPass: OnPass,
  signal: AbortSignal,
): Promise<void> {
  for (const fold of folds) {
    for (const stop of await readStops(sql, generation, fold)) {
      await fold.foldTo(stop, onPass, signal)
    }
  }
}

/** Snapshots are made where the live ones were; of anything else only the checkpoint counts. */
async function readStops(
  sql: Sql | Transaction,
  { projection, replaces }: Generation,
  { shard, position }: ShardFold,
): Promise<number[]> {
  const [checkpoint] = await sql<{ position: string }[]>`
    select c.position
    from checkpoints c
    where c.shard = ${shard} and c.projection = ${projection.name} and c.generation = ${replaces}`
  if (!checkpoint) throw new CheckpointMoved(`Another generation of ${projection.name} went live.`)
  const end = Number(checkpoint.position)
  if (projection !== snapshots) return [end]
  const rows = await sql<{ position: string }[]>`
    select distinct s.position
    from api_key_snapshots s
    where s.shard = ${shard} and s.generation = ${replaces} and s.position > ${position}
    order by s.position`
  return [...rows.map((row) => Number(row.position)), end]
}

async function whenUnlocked(run: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if (!isLockTimeout(error) || tries === LOCK_TRIES) throw error
    }
  }
}
