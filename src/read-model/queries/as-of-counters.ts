import { ACCOUNTS } from '../../events/accounts.ts'
import type { Positions } from '../../events/positions.ts'
import { runInTurns } from '../../platform/async/turns.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { gatherColumns } from '../projections/account-sql.ts'
import { catalogRows } from '../projections/catalog-rows.ts'
import { createTotals } from '../projections/create-totals.ts'
import { MeasureTotals } from '../projections/detail-totals.ts'
import { measureColumns } from '../projections/measure-snapshots.ts'
import type { Projection } from '../projections/projection.ts'
import { snapshots } from '../projections/snapshots.ts'
import type { Total } from '../projections/totals.ts'
import type { AsOfSource } from './as-of-source.ts'
import { EventCounter } from './count-events.ts'
import type { ReadLarge } from './read-large.ts'
import type { Scope } from './scope.ts'

/** An as-of read would have to fold too many events since the newest snapshot before it. */
export class SnapshotsBehind extends TemporarilyUnavailable {
  override name = 'SnapshotsBehind'
}

/**
 * Maximum number of events that one read folds: three seconds of work. Snapshots are closer
 * together than this.
 */
export const MAX_EVENTS = 500_000

/** Events per second by which snapshots catch up with the log on an idle machine. */
const CATCH_UP_PER_SECOND = 20_000

/** Shards queried concurrently, so that round trips overlap. */
const CONCURRENT_SHARDS = 32

/**
 * Returns the counters as of these positions: the newest snapshots at or before them, plus a fold
 * of the events since. Throws TemporarilyUnavailable while snapshots are too far behind, and if
 * only a newer release can read the events.
 */
export async function readAsOf(
  transaction: Transaction,
  positions: Positions,
  { kind, account }: Scope,
  readLarge: ReadLarge | null = null,
): Promise<AsOfSource> {
  const generations = await readGenerations(transaction)
  const starts: number[] = []
  const totals = createTotals(kind)
  const measures = new MeasureTotals()
  const counter = new EventCounter(
    transaction,
    kind,
    (some) => {
      totals.add(some)
      measures.add(some)
    },
    readLarge,
  )
  for (let first = 0; first < positions.length; first += CONCURRENT_SHARDS) {
    const chunk = positions.slice(first, first + CONCURRENT_SHARDS)
    const found = await Promise.all(
      chunk.map((position, i) =>
        readSnapshotBefore(transaction, generations.snapshots, first + i, position),
      ),
    )
    starts.push(...found)
    const behind = chunk.map((position, i) => position - found[i]! - MAX_EVENTS)
    if (behind.some((events) => events > 0)) throw snapshotsBehind(behind)
    await Promise.all(
      chunk.map((through, i) =>
        counter.countRange({ shard: first + i, after: found[i]!, through }),
      ),
    )
  }
  await counter.end()
  // Accounts outside the scope are not sent to the database.
  const slices = account === null ? totals.slices() : onlyOf(account, totals.slices())
  const since = await runInTurns(gatherColumns(ACCOUNTS[kind], slices))
  const measuredSince = measureColumns(kind, measures)
  return { positions, generations, snapshots: starts, kind, since, measuredSince }
}

function* onlyOf(account: number | string, slices: Iterable<Total[]>): Generator<Total[]> {
  for (const slice of slices) yield slice.filter((total) => total.account === account)
}

/** Creates the error from the number of events that each shard has above MAX_EVENTS. */
function snapshotsBehind(behind: readonly number[]): SnapshotsBehind {
  const events = Math.max(...behind)
  const seconds = Math.min(300, Math.max(1, Math.ceil(events / CATCH_UP_PER_SECOND)))
  return new SnapshotsBehind(
    'snapshots behind',
    seconds,
    `The snapshots that as-of reads need are ${events} events too far behind the log. Retry later.`,
  )
}

/**
 * Reads the live generations. Throws TemporarilyUnavailable unless this release's fold version made
 * them.
 */
async function readGenerations(transaction: Transaction): Promise<AsOfSource['generations']> {
  const rows = await transaction<{ projection: string; generation: number; version: number }[]>`
    select p.projection, p.generation, p.version from projections p`
  const generationOf = ({ name, version }: Projection) => {
    const row = rows.find(({ projection }) => projection === name)
    // An older generation is being rebuilt, and a newer one is for a newer release.
    if (row?.version !== version) {
      throw new TemporarilyUnavailable(
        'projection rebuilding',
        10,
        `The projection ${name} is being rebuilt for this version. Retry later.`,
      )
    }
    return row.generation
  }
  return { catalog: generationOf(catalogRows), snapshots: generationOf(snapshots) }
}

async function readSnapshotBefore(
  transaction: Transaction,
  generation: number,
  shard: number,
  position: number,
): Promise<number> {
  if (position < 0) return -1
  const [row] = await transaction<{ position: string | null }[]>`
    select max(s.position) as position
    from api_key_snapshots s
    where s.shard = ${shard} and s.generation = ${generation} and s.position <= ${position}`
  return row!.position === null ? -1 : Number(row!.position)
}
