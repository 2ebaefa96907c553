import { isStaleCheckpoint } from '../db/errors.ts'
import { type Pools, transact } from '../db/pool.ts'
import { PayloadError } from '../events/columns.ts'
import { decodeEvent, type StoredEvent } from '../events/event.ts'
import { readEvents } from '../log/read.ts'
import { PROJECTIONS } from '../projections/index.ts'
import type { Fold } from '../projections/projection.ts'
import type { Checkpoint } from './checkpoint.ts'

/**
 * One read of the log: folding it takes some 20 ms, during which this thread answers nobody.
 */
const CHUNK = { rows: 500, bytes: 2 * 1024 * 1024 }

/** Events after which a pass writes what it has: bounds its time when it is far behind. */
const PASS_EVENTS = 50_000

export type PassOutcome =
  /** `position` is the slowest checkpoint after the pass, `events` what was folded. */
  | { kind: 'folded'; position: number; events: number }
  /** Another projector wrote meanwhile; nothing was written. */
  | { kind: 'stale' }

type Parked = { position: number; reason: string }

/**
 * Folds what is new in a shard and writes it: counters and checkpoints move in one transaction.
 * Killed before the commit: nothing has moved, and the next pass folds the same events again.
 * Killed after: the next pass starts at the new checkpoint.
 */
export async function runPass(
  pools: Pools,
  shard: number,
  checkpoints: Checkpoint[],
): Promise<PassOutcome> {
  const folds = PROJECTIONS.map((projection) => projection.createFold())
  const parked: Parked[] = []
  let position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
  let events = 0
  let caughtUp = false
  while (!caughtUp && events < PASS_EVENTS) {
    const chunk = await readEvents(pools.project, { shard, after: position }, CHUNK)
    for (const event of chunk) foldEvent(event, checkpoints, folds, parked)
    events += chunk.length
    position = chunk.at(-1)?.position ?? position
    caughtUp = chunk.length === 0
  }
  if (events === 0) return { kind: 'folded', position, events }
  try {
    await write(pools, { shard, checkpoints, folds, parked, position })
  } catch (error) {
    if (isStaleCheckpoint(error)) return { kind: 'stale' }
    throw error
  }
  return { kind: 'folded', position, events }
}

function foldEvent(
  stored: StoredEvent,
  checkpoints: Checkpoint[],
  folds: Fold[],
  parked: Parked[],
): void {
  try {
    const event = decodeEvent(stored.type, stored.version, stored.payload)
    folds.forEach((fold, i) => {
      if (stored.position > checkpoints[i]!.position) fold.add(event, stored.recordedAt)
    })
  } catch (error) {
    if (!(error instanceof PayloadError)) throw error
    parked.push({ position: stored.position, reason: error.message })
  }
}

type Written = {
  shard: number
  checkpoints: Checkpoint[]
  folds: Fold[]
  parked: Parked[]
  position: number
}

async function write(pools: Pools, written: Written): Promise<void> {
  const { shard, checkpoints, folds, parked, position } = written
  const now = new Date()
  await transact(pools.project, '', (transaction) => {
    // Sent together: the first that fails makes the rest fail, and the transaction with them.
    // One that is further on already (the others are new) has folded nothing here and stays.
    const behind = checkpoints.filter((checkpoint) => checkpoint.position < position)
    const moves = behind.map(
      ({ projection, generation, position: from }) => transaction`
        select move_checkpoint(
          ${shard}, ${projection}, ${generation}, ${from}::bigint, ${position}::bigint, ${now}
        )`,
    )
    const writes = folds.flatMap((fold, i) =>
      fold.write(transaction, { shard, generation: checkpoints[i]!.generation }),
    )
    const parkings = parked.map(
      ({ position: at, reason }) => transaction`
        insert into parked_events (shard, position, reason, parked_at)
        values (${shard}, ${at}, ${reason}, ${now})
        on conflict (shard, position) do nothing`,
    )
    return Promise.all([...moves, ...writes, ...parkings])
  })
}
