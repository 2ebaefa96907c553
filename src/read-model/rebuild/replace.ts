import { isLockTimeout } from '../../platform/postgres/errors.ts'
import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { snapshots } from '../projections/snapshots.ts'
import { CheckpointMoved, type OnBatch, type ShardFold } from '../projector/shard-fold.ts'
import { keepSnapshots } from '../projector/thin-snapshots.ts'
import { compareTable, type Differences } from './compare.ts'
import type { Generation } from './generation.ts'

/** Attempts to lock the live checkpoints, of one second each: a batch may take that long. */
const LOCK_TRIES = 30

/** How long (ms) to wait for the projector to align the live checkpoints of a group. */
const UNEVEN_WAIT_MS = 100

/**
 * Compares new generations of one group with the live ones, row by row, at exactly the same
 * positions, without blocking other processes: one transaction reads the live rows as of their
 * checkpoints, while the new generations are folded through these and then read. Returns null for a
 * projection whose live generation has another fold version.
 */
export async function compareGenerations(
  sql: Sql,
  made: readonly Generation[],
  folds: readonly ShardFold[],
  onBatch: OnBatch,
  signal: AbortSignal,
  align: Align | null = null,
): Promise<(Differences | null)[]> {
  for (;;) {
    signal.throwIfAborted()
    const found = await transact(sql, 'isolation level repeatable read read only', (transaction) =>
      compareIn(transaction, sql, made, folds, onBatch, signal, align),
    )
    if (found !== null) return found
    await Bun.sleep(UNEVEN_WAIT_MS)
  }
}

/**
 * Moves usage of a new generation to days and months, and deletes rows of it, as was done with the
 * live one, as `live` sees it. Returns false if that has to be tried again.
 */
export type Align = (
  live: Transaction,
  sql: Sql,
  generation: Generation,
  shards: readonly number[],
) => Promise<boolean>

/** Returns null if the live checkpoints of a shard differ from each other. */
async function compareIn(
  transaction: Transaction,
  sql: Sql,
  made: readonly Generation[],
  folds: readonly ShardFold[],
  onBatch: OnBatch,
  signal: AbortSignal,
  align: Align | null,
): Promise<(Differences | null)[] | null> {
  // The transaction is idle during the fold, and while the other side's rows are sorted.
  await transaction`select set_config('idle_in_transaction_session_timeout', '0', true)`
  for (const { shard } of folds) {
    const positions = await readLivePositions(transaction, made, shard)
    if (new Set(positions).size > 1) return null
  }
  await catchUp(transaction, made, folds, onBatch, signal)
  await forgetThinned(transaction, sql, made, folds)
  const shards = folds.map(({ shard }) => shard)
  for (const one of made) {
    if (align && one.isComparable && !(await align(transaction, sql, one, shards))) return null
  }
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
 * Makes new generations of one group live. The live projector is blocked while the last events are
 * folded, so that no reader ever sees less than before. Then the checkpoints of the replaced
 * generations are deleted, so a process that still folds into them fails and starts over.
 *
 * One transaction: if killed before its commit, nothing has changed.
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
    // Twice: the second call leaves for the time under the lock only events that arrived during a
    // short fold.
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
  // From now on no transaction starts to read the replaced generations: see `sweepGenerations`.
  for (const { projection, generation } of made) {
    await owner`
      update rebuilds r
      set seen_at = statement_timestamp()
      where r.projection = ${projection.name} and r.generation = ${generation}`
  }
}

/** Locks in the same order as a batch. On Citus, one statement locks the rows of only one shard. */
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
  // Updates both tables in the order in which a starting rebuild does: the reverse order would
  // deadlock on Citus.
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
  if (!updated)
    throw new CheckpointMoved(
      'The rebuild sent no heartbeat for too long, and was marked as failed. Run it again.',
    )
}

/**
 * Folds each shard through the live generations' positions, stopping at every position that a
 * snapshot needs.
 */
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

/**
 * Snapshots are made at the positions of the live ones; for other projections only the checkpoint
 * matters.
 */
async function readStops(
  sql: Sql | Transaction,
  made: readonly Generation[],
  { shard, position }: ShardFold,
): Promise<number[]> {
  const end = Math.max(...(await readLivePositions(sql, made, shard)))
  const { projection, replaces } = made[0]!
  if (projection !== snapshots) return [end]
  return [...(await readSnapshotPositions(sql, shard, replaces, position)), end]
}

/** Removes the new snapshots at whose positions the live ones were thinned out meanwhile. */
async function forgetThinned(
  transaction: Transaction,
  sql: Sql,
  made: readonly Generation[],
  folds: readonly ShardFold[],
): Promise<void> {
  const { projection, replaces, generation, isComparable } = made[0]!
  if (projection !== snapshots || !isComparable) return
  for (const { shard } of folds) {
    const positions = await readSnapshotPositions(transaction, shard, replaces, -1)
    await keepSnapshots(sql, shard, generation, positions)
  }
}

async function readSnapshotPositions(
  sql: Sql | Transaction,
  shard: number,
  generation: number,
  after: number,
): Promise<number[]> {
  const rows = await sql<{ position: string }[]>`
    select distinct s.position
    from api_key_snapshots s
    where s.shard = ${shard} and s.generation = ${generation} and s.position > ${after}
    order by s.position`
  return rows.map((row) => Number(row.position))
}

/** Reads how far the live generations have folded a shard. */
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
    if (!row)
      throw new CheckpointMoved(
        `Another generation of ${projection.name} went live during the rebuild.`,
      )
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
