import { isLockTimeout } from '../../platform/postgres/errors.ts'
import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { snapshots } from '../projections/snapshots.ts'
import { CheckpointMoved, type OnBatch, type ShardFold } from '../projector/shard-fold.ts'
import { compareTable, type Differences } from './compare.ts'
import type { Generation } from './generation.ts'

/** How often the live projector's lock is tried for, a second each: a pass may be that long. */
const LOCK_TRIES = 30

/** Live checkpoints of one track that differ: milliseconds until its projector has evened them. */
const UNEVEN_WAIT_MS = 100

/**
 * Compares generations of one track with the live ones, row by row, at the very same positions
 * (null where other code has made the live one), and without holding anybody up: the live rows are
 * read in a transaction that saw them at their checkpoints, and the new ones after they were folded
 * to these.
 */
export async function compareGenerations(
  sql: Sql,
  made: readonly Generation[],
  folds: readonly ShardFold[],
  onBatch: OnBatch,
  signal: AbortSignal,
): Promise<(Differences | null)[]> {
  for (;;) {
    signal.throwIfAborted()
    const found = await transact(sql, 'isolation level repeatable read read only', (transaction) =>
      compareIn(transaction, sql, made, folds, onBatch, signal),
    )
    if (found !== null) return found
    await Bun.sleep(UNEVEN_WAIT_MS)
  }
}

/** Null where the live checkpoints of a shard differ. */
async function compareIn(
  transaction: Transaction,
  sql: Sql,
  made: readonly Generation[],
  folds: readonly ShardFold[],
  onBatch: OnBatch,
  signal: AbortSignal,
): Promise<(Differences | null)[] | null> {
  // It waits for the fold, and for the other side's rows to be sorted.
  await transaction`select set_config('idle_in_transaction_session_timeout', '0', true)`
  for (const { shard } of folds) {
    const positions = await readLivePositions(transaction, made, shard)
    if (new Set(positions).size > 1) return null
  }
  await catchUp(transaction, made, folds, onBatch, signal)
  const all: (Differences | null)[] = []
  for (const { projection, generation, replaces, isComparable } of made) {
    if (!isComparable) {
      all.push(null)
      continue
    }
    const found: Differences = { rows: 0, first: [] }
    for (const table of projection.tables) {
      signal.throwIfAborted()
      const live = { sql: transaction, generation: replaces }
      const { rows, first } = await compareTable(table, live, { sql, generation })
      found.rows += rows
      found.first.push(...first)
    }
    all.push(found)
  }
  return all
}

/**
 * Makes generations of one track those that readers see. The live projector is held up while the
 * last events are folded, so that no reader ever sees less than before; then the replaced
 * generations' checkpoints go, and whoever still folds into them fails and begins anew.
 *
 * All in one transaction: killed before its commit, nothing has changed.
 */
export async function replaceLive(
  owner: Sql,
  made: readonly Generation[],
  folds: readonly ShardFold[],
  onBatch: OnBatch,
  signal: AbortSignal,
): Promise<void> {
  await whenUnlocked(async () => {
    signal.throwIfAborted()
    // Twice, so that what is left for the lock came while the little was folded that was left here.
    await catchUp(owner, made, folds, onBatch, signal)
    await catchUp(owner, made, folds, onBatch, signal)
    await transact(owner, '', async (transaction) => {
      await transaction`select set_config('lock_timeout', '1s', true)`
      for (const { shard } of folds) await lockCheckpoints(transaction, made, shard)
      await catchUp(transaction, made, folds, onBatch, signal)
      const events = folds.reduce((sum, { position }) => sum + position + 1, 0)
      for (const generation of made) await replaceOne(transaction, generation, events)
    })
  })
  // From now on nobody begins to read the replaced ones: see `sweepGenerations`.
  for (const { projection, generation } of made) {
    await owner`
      update rebuilds r
      set seen_at = statement_timestamp()
      where r.projection = ${projection.name} and r.generation = ${generation}`
  }
}

/** In the order in which a pass locks them; on Citus a statement locks rows of one shard. */
async function lockCheckpoints(
  transaction: Transaction,
  made: readonly Generation[],
  shard: number,
): Promise<void> {
  const live = made.map(
    ({ projection, replaces }) =>
      transaction`(c.projection = ${projection.name} and c.generation = ${replaces})`,
  )
  await transaction`
    select 1
    from checkpoints c
    where c.shard = ${shard} and (${live.reduce((all, one) => transaction`${all} or ${one}`)})
    order by c.projection collate "C"
    for update`
}

async function replaceOne(
  transaction: Transaction,
  { projection: { name, version }, generation, replaces }: Generation,
  events: number,
): Promise<void> {
  // In the order in which a rebuild that begins takes both: on Citus they would meet there.
  await transaction`
    update projections p
    set generation = ${generation}, version = ${version}, rebuilt_at = statement_timestamp()
    where p.projection = ${name} and p.generation = ${replaces}`
  await transaction`
    delete from checkpoints c where c.projection = ${name} and c.generation = ${replaces}`
  const [updated] = await transaction`
    update rebuilds r
    set state = 'live', seen_at = statement_timestamp(), finished_at = statement_timestamp(),
      events_folded = ${events}, events_total = ${events}
    where r.projection = ${name} and r.generation = ${generation} and r.finished_at is null
    returning r.generation`
  if (!updated) throw new CheckpointMoved('The rebuild was taken for dead.')
}

/** Folds each shard to where the live generations stand, over all positions they stopped at. */
export async function catchUp(
  sql: Sql | Transaction,
  made: readonly Generation[],
  folds: readonly ShardFold[],
  onBatch: OnBatch,
  signal: AbortSignal,
): Promise<void> {
  for (const fold of folds) {
    for (const stop of await readStops(sql, made, fold)) await fold.foldUntil(stop, onBatch, signal)
  }
}

/** Snapshots are made where the live ones were; of anything else only the checkpoints count. */
async function readStops(
  sql: Sql | Transaction,
  made: readonly Generation[],
  { shard, position }: ShardFold,
): Promise<number[]> {
  const end = Math.max(...(await readLivePositions(sql, made, shard)))
  const { projection, replaces } = made[0]!
  if (projection !== snapshots) return [end]
  const rows = await sql<{ position: string }[]>`
    select distinct s.position
    from api_key_snapshots s
    where s.shard = ${shard} and s.generation = ${replaces} and s.position > ${position}
    order by s.position`
  return [...rows.map((row) => Number(row.position)), end]
}

/** How far the live generations have folded a shard. */
async function readLivePositions(
  sql: Sql | Transaction,
  made: readonly Generation[],
  shard: number,
): Promise<number[]> {
  const positions: number[] = []
  for (const { projection, replaces } of made) {
    const [row] = await sql<{ position: string }[]>`
      select c.position
      from checkpoints c
      where c.shard = ${shard}
        and c.projection = ${projection.name}
        and c.generation = ${replaces}`
    if (!row) throw new CheckpointMoved(`Another generation of ${projection.name} went live.`)
    positions.push(Number(row.position))
  }
  return positions
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
