import type { Corruption } from './corruption.ts'

/**
 * The changes by rounds: all of a round are made, one verification looks for them, and all are
 * taken back. In a round each change is found at a place of its own, and none hides another or is
 * found at another's place. TALLYBOOK_TEST_FULL=1 proves that: it makes each change alone, too.
 *
 * - Changes that nothing finds are one round, in which there must be no problem at all.
 * - Those of the log are two, each on an event of its own. They change what a second fold makes of
 *   the log, so no change of a projection's rows is among them. An event that is taken away hides
 *   that the next one is gone, so of the two that take one away each round has one. With them goes a
 *   checkpoint that is moved, which keeps the counters from being compared at all.
 * - A shard that has another number isn't walked, and a snapshot that is moved in one of the three
 *   tables is missing beside the other two: each is a round by itself.
 * - The others lie in lanes, of which each round takes one change. Tables don't disturb each other,
 *   but for a projection or a checkpoint that is missing, without which its rows aren't compared.
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

/** Tables of one lane, named by one of them. */
function laneOf({ table }: Corruption): string {
  if (table === 'projections') return 'provider_group_counters'
  return table === 'checkpoints' ? 'api_key_counters' : table
}
