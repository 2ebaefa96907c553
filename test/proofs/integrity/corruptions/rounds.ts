import type { Corruption } from './corruption.ts'

/**
 * Distributes the changes over rounds. All changes of a round are made together, verified once, and
 * reverted. Each is reported at a place of its own, and none hides another or is reported at the
 * place of another. TALLYBOOK_TEST_FULL=1 proves that by also making each change alone.
 *
 * - The changes that nothing reports are one round, which must have no problem at all.
 * - The changes of the log are two rounds, each change on its own event. They change the rows that
 *   are recomputed from the log, so the rounds have no change of a projection's rows. A removed
 *   event hides that the next one is missing, so each round has one of the two changes that remove
 *   one. A moved checkpoint is added, because its counters are then not compared at all.
 * - A shard with another number is not walked, and a snapshot that is moved in one of the three
 *   tables is incomplete in the other two: each of these changes is a round by itself.
 * - The other changes are in lanes, and each round takes one change per lane. Tables are
 *   independent, except that the rows of a projection are not compared if the projection or its
 *   checkpoint is missing.
 */
export function toRounds(all: readonly Corruption[]): Corruption[][] {
  const byKind = Map.groupBy(all, kindOf)
  const log = byKind.get('log')!
  const lanes = [...Map.groupBy(byKind.get('lane')!, laneOf).values()]
  const length = Math.max(...lanes.map((lane) => lane.length))
  return [
    byKind.get('unfound')!,
    log.filter((_, i) => i % 2 === 0),
    log.filter((_, i) => i % 2 === 1),
    ...byKind.get('alone')!.map((change) => [change]),
    ...Array.from({ length }, (_, round) => lanes.flatMap((lane) => lane.slice(round, round + 1))),
  ]
}

function kindOf({ table, column, foundBy }: Corruption): 'unfound' | 'log' | 'alone' | 'lane' {
  if (foundBy === null || foundBy === 'refused') return 'unfound'
  if (table === 'events' || (table === 'checkpoints' && column === 'position')) return 'log'
  const isAlone =
    (table === 'shards' && column === 'shard') ||
    (table.endsWith('_snapshots') && column === 'position')
  return isAlone ? 'alone' : 'lane'
}

/** Returns the lane of a table, named after one of its tables. */
function laneOf({ table }: Corruption): string {
  if (table === 'projections') return 'provider_group_counters'
  if (table === 'checkpoints') return 'api_key_counters'
  // Its rows say which keys are packed.
  if (table === 'segments') return 'packed_keys'
  // Its rows are compared with the rows of usage.
  if (table === 'key_period_usage') return 'key_usage'
  return table.replace(/_measures$/, '_counters')
}
