import type { StoredEvent } from '../events/event.ts'
import { hashLeaf, toLeaf } from '../events/leaf.ts'
import { Frontier } from '../proofs/merkle/frontier.ts'
import { equalHashes, formatHash, type Hash, parseHash } from '../proofs/merkle/hash.ts'
import type { VerifierKey } from '../proofs/merkle/key.ts'
import { openTreeHead } from '../proofs/merkle/tree-head.ts'
import { isConsistent } from '../proofs/merkle/verify-proof.ts'
import { SegmentError, type SegmentFailure } from './failure.ts'
import type { CheckedFile } from './fetch.ts'
import { FIRST_LINE, type SegmentIndex } from './index-format.ts'
import { type ExpectedSegment, type OpenedIndex, readIndex } from './open.ts'
import { Segment } from './read.ts'

/** What a segment is checked against, besides itself. */
export type Expectations = ExpectedSegment & {
  /** Keys of the log. If there are any, one of them must have signed the segment's head. */
  keys?: readonly VerifierKey[]
  signal?: AbortSignal
}

/**
 * The result of a check. The roots are computed from the events: of the tree before the segment (it
 * must be the last root of the segment before), and of the tree that ends with it. Both are those
 * of the log only if someone who knows the log says so: its tiles, or a signed head.
 */
export type Verified =
  | ({ kind: 'verified'; before: Hash; root: Hash; head: 'signed' | 'none' } & OpenedIndex)
  | { kind: 'problem'; failure: SegmentFailure }

/**
 * Checks a whole file, without the service and without a cache: every block and payload by its
 * hash, the order of positions and times, and that the leaves make the root that the index states.
 * Stops at the first problem.
 */
export async function verifySegment(
  file: CheckedFile,
  { keys = [], signal, ...expected }: Expectations = {},
): Promise<Verified> {
  try {
    const bytes = await file.size()
    if (expected.bytes !== undefined && bytes !== expected.bytes) {
      const reason = `${file.name} has ${bytes} bytes, not ${expected.bytes}`
      throw new SegmentError({ kind: 'lied', reason })
    }
    const opened = await readIndex(file, { ...expected, bytes })
    const isStored = expected.indexSha256 !== undefined
    await checkFirstLine(file, isStored ? 'lied' : 'malformed')
    const { index } = opened
    const tree = new Frontier(index.first_position, index.tree.peaks.map(toHash))
    const before = tree.root()
    const types = new Map<string, number>()
    const segment = new Segment(file, index)
    for await (const page of segment.readPages({ after: index.first_position - 1 })) {
      signal?.throwIfAborted()
      for (const event of page) addEvent(event, tree, types)
    }
    const root = tree.root()
    const problem = findProblem(index, root, types, keys)
    if (problem !== null) throw malformed(`${file.name}: ${problem}`)
    const head = keys.length > 0 ? 'signed' : 'none'
    return { kind: 'verified', ...opened, before, root, head }
  } catch (error) {
    if (error instanceof SegmentError) return { kind: 'problem', failure: error.failure }
    throw error
  }
}

async function checkFirstLine(file: CheckedFile, kind: 'lied' | 'malformed'): Promise<void> {
  const first = await file.readUnchecked({ offset: 0, length: FIRST_LINE.length })
  if (first.equals(FIRST_LINE)) return
  throw new SegmentError({ kind, reason: `${file.name} does not begin as a segment does` })
}

function addEvent(event: StoredEvent, tree: Frontier, types: Map<string, number>): void {
  tree.append(hashLeaf(toLeaf(event)))
  types.set(event.type, (types.get(event.type) ?? 0) + 1)
}

function findProblem(
  index: SegmentIndex,
  root: Hash,
  types: ReadonlyMap<string, number>,
  keys: readonly VerifierKey[],
): string | null {
  if (formatHash(root) !== index.tree.root) return 'its events make another root than it states'
  const counts = Object.entries(index.types)
  const isSame = counts.length === types.size && counts.every(([type, n]) => types.get(type) === n)
  if (!isSame) return 'its events have other types than it states'
  return keys.length === 0 ? null : findHeadProblem(index, root, keys)
}

function findHeadProblem(
  { signed_head, end_position, origin }: SegmentIndex,
  root: Hash,
  keys: readonly VerifierKey[],
): string | null {
  if (signed_head === undefined) return 'it has no signed head'
  const opened = openTreeHead(signed_head.note, keys)
  if (opened.kind === 'refused') return `its signed head is refused: ${opened.reason}`
  if (opened.origin !== origin) return `its signed head is one of ${opened.origin}`
  const proof = signed_head.proof.map(toHash)
  const own = { size: end_position, root }
  const isOwn = opened.size === end_position && equalHashes(opened.root, root)
  if (isOwn ? proof.length === 0 : isConsistent(own, opened, proof)) return null
  return 'its signed head is that of another log'
}

const toHash = (text: string): Hash => parseHash(text)!

const malformed = (reason: string) => new SegmentError({ kind: 'malformed', reason })
