import { afterAll, beforeAll } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoredEvent } from '../../src/events/event.ts'
import { Frontier } from '../../src/proofs/merkle/frontier.ts'
import type { Hash } from '../../src/proofs/merkle/hash.ts'
import { subtreesOf } from '../../src/proofs/merkle/tree.ts'
import type { Range, SegmentStore } from '../../src/segment-files/stores/store.ts'
import type { SegmentPlan } from '../../src/segment-files/write.ts'
import { leavesOf } from './events.ts'

/** A temporary folder for the tests of one file. */
export function useFolder(): { path: string } {
  const folder = { path: '' }
  beforeAll(async () => {
    folder.path = await mkdtemp(join(tmpdir(), 'tallybook-segments-'))
  })
  afterAll(() => rm(folder.path, { recursive: true, force: true }))
  return folder
}

/** Returns the roots of the complete subtrees of these leaves, left to right. */
export function peaksOf(leaves: readonly Hash[]): Hash[] {
  return subtreesOf({ from: 0, to: leaves.length }).map(({ height, number }) => {
    const from = number * 2 ** height
    const tree = new Frontier()
    for (const leaf of leaves.slice(from, from + 2 ** height)) tree.append(leaf)
    return tree.root()
  })
}

/** Returns the plan of a segment with these events of a log, some 40 to a block. */
export function planOf(
  log: readonly StoredEvent[],
  first = 0,
  end = log.length,
): SegmentPlan & { origin: null } {
  const peaks = peaksOf(leavesOf(log.slice(0, first)))
  const block = { characters: 1024 * 1024, events: 40 }
  return { shard: 0, first, end, origin: null, peaks, block }
}

/** A store that remembers which ranges were read from it. */
export function watch(store: SegmentStore): SegmentStore & { ranges: Range[] } {
  const ranges: Range[] = []
  return {
    ...store,
    ranges,
    read: (name, range) => {
      ranges.push(range)
      return store.read(name, range)
    },
  }
}
