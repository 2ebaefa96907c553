import { type Event, hashPayload, tryDecodeEvent } from '../../../events/event.ts'
import { parseEventLine } from '../../../events/event-line.ts'
import { hashLeaf } from '../../../events/leaf.ts'
import type { Hash } from '../../merkle/hash.ts'
import type { OnFinding } from '../finding.ts'
import type { EventSource } from '../sources/source.ts'
import { BLOCK_EVENTS, blockOf, type WalkedBlocks } from '../walked-blocks.ts'

/**
 * Blocks that are read along with those around them. A response of 4,096 events takes as long as 10
 * to 20 short ones, and an archive is read from the start of a file.
 */
const MAX_GAP = 16

/** An event that is read again. It is null if it can't be decoded. */
export type ReadEvent = {
  shard: number
  position: number
  recordedAt: string
  event: Event | null
}

/** A shard to read again. */
export type ReadAgain = {
  source: EventSource
  shard: number
  walked: WalkedBlocks
  report: OnFinding
  /** Called before each block. */
  onBlock: () => void
}

/**
 * Reads blocks of a shard again, in order, and passes their events on. Returns false, and reports
 * it, if these are not the events that the walk has passed: then what was passed on means nothing.
 */
export async function readAgain(
  shard: ReadAgain,
  blocks: ReadonlySet<number>,
  onEvent: (event: ReadEvent) => void,
): Promise<boolean> {
  const wanted = [...blocks].sort((a, b) => a - b)
  for (let i = 0, next = 0; i < wanted.length; i = next) {
    next = i + 1
    while (next < wanted.length && wanted[next]! - wanted[next - 1]! <= MAX_GAP) next++
    if (!(await readRange(shard, wanted.slice(i, next), onEvent))) return false
  }
  return true
}

/** Reads from the first of some blocks to the last one, and leaves out others between them. */
async function readRange(
  { source, shard, walked, report, onBlock }: ReadAgain,
  wanted: readonly number[],
  onEvent: (event: ReadEvent) => void,
): Promise<boolean> {
  const isWanted = new Set(wanted)
  const to = Math.min((wanted.at(-1)! + 1) * BLOCK_EVENTS, walked.size)
  let position = wanted[0]! * BLOCK_EVENTS
  let leafHashes: Hash[] = []
  for await (const line of source.readLines(shard, position, to)) {
    if (position === to) break
    if (position % BLOCK_EVENTS === 0) onBlock()
    const at = position++
    const block = blockOf(at)
    if (!isWanted.has(block)) continue
    const parsed = parseEventLine(line)
    if (parsed.kind === 'malformed' || !isWhole(parsed.event)) break
    leafHashes.push(hashLeaf(parsed.leaf))
    const { recordedAt } = parsed.event
    onEvent({ shard, position: at, recordedAt, event: tryDecodeEvent(parsed.event) })
    if (position % BLOCK_EVENTS > 0 && position < to) continue
    if (!walked.has(block, leafHashes)) break
    leafHashes = []
    if (position === to) return true
  }
  const message = 'when they were read again, the events up to here were not what they were before'
  report({ kind: 'rewritten', at: `${shard}/${Math.max(0, position - 1)}`, message })
  return false
}

const isWhole = ({ payload, payloadSha256 }: { payload: string; payloadSha256: string }) =>
  hashPayload(payload) === payloadSha256
