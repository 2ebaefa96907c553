import type { Sql } from '../platform/postgres/pool.ts'
import { equalHashes, type Hash } from '../proofs/merkle/hash.ts'
import type { VerifierKey } from '../proofs/merkle/key.ts'
import { readRoot } from '../proofs/merkle/prove.ts'
import { readTiles } from '../proofs/transparency/tiles.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { type Expectations, type Verified, verifySegment } from '../segment-files/verify.ts'
import { readArchived } from './registry.ts'

/** The result of a check: how much was verified, and what is wrong, in sentences. */
export type ArchiveReport = { segments: number; events: number; problems: string[] }

type CheckOptions = {
  store: SegmentStore
  /** Keys of the log; if there are any, each segment must have a head that one of them signed. */
  keys: readonly VerifierKey[]
  signal: AbortSignal
  /** Called when a segment was checked. */
  onProgress: (done: number, total: number) => void
}

/**
 * Checks the file of each segment that the database lists: every byte, as the database recorded it,
 * and that its events make the tree that the tiles have.
 */
export async function verifyRecorded(
  sql: Sql,
  { store, keys, signal, onProgress }: CheckOptions,
): Promise<ArchiveReport> {
  const report: ArchiveReport = { segments: 0, events: 0, problems: [] }
  const archived = await readArchived(sql)
  for (const [i, { shard, first, end, fileName, fileBytes, indexSha256 }] of archived.entries()) {
    signal.throwIfAborted()
    const expected = { shard, first, end, indexSha256, bytes: fileBytes }
    const file = new CheckedFile(store, fileName)
    const verified = await verifySegment(file, { ...expected, keys, signal })
    const tiles = (asked: Parameters<typeof readTiles>[2]) => readTiles(sql, shard, asked)
    if (verified.kind === 'problem') report.problems.push(verified.failure.reason)
    else if (!equalHashes(verified.root, await readRoot(end, tiles))) {
      report.problems.push(`${fileName} has another root than the tree of the log`)
    } else count(report, verified)
    onProgress(i + 1, archived.length)
  }
  return report
}

/**
 * Checks an archive without a database: each file, and that the segments of a shard continue each
 * other from the first event on. A file of which there is another, intact one for the same events
 * is what an interrupted attempt has left.
 */
export async function verifyArchive({
  store,
  keys,
  signal,
  onProgress,
}: CheckOptions): Promise<ArchiveReport> {
  const report: ArchiveReport = { segments: 0, events: 0, problems: [] }
  const listed = await store.list()
  if (listed.kind !== 'listed') return { ...report, problems: [listed.reason] }
  const names = listed.names.filter((name) => name.endsWith('.segment'))
  if (names.length === 0) report.problems.push('There is no segment in the archive')
  const intact: Intact[] = []
  const broken: { name: string; reason: string }[] = []
  for (const [i, name] of names.entries()) {
    const options: Expectations = { keys, signal }
    const verified = await verifySegment(new CheckedFile(store, name), options)
    if (verified.kind === 'problem') broken.push({ name, reason: verified.failure.reason })
    else intact.push({ name, ...verified })
    onProgress(i + 1, names.length)
  }
  for (const segments of Map.groupBy(intact, ({ index }) => index.shard).values()) {
    checkChain(segments, report)
  }
  for (const { name, reason } of broken) {
    const range = /^(.*)-[0-9a-f]{12}\.segment$/.exec(name)?.[1]
    const isLeftOver = intact.some((other) => range !== undefined && other.name.startsWith(range))
    if (!isLeftOver) report.problems.push(reason)
  }
  return report
}

type Intact = { name: string } & Extract<Verified, { kind: 'verified' }>

/** Checks that segments of a shard continue each other. */
function checkChain(segments: readonly Intact[], report: ArchiveReport): void {
  let end = 0
  let root: Hash | null = null
  const inOrder = segments.toSorted((a, b) => a.index.first_position - b.index.first_position)
  for (const segment of inOrder) {
    const { name, index, before } = segment
    const { shard, first_position: first, end_position: last } = index
    // Written twice, by two runs.
    if (last <= end) continue
    if (first !== end) {
      report.problems.push(`Events ${shard}/${end} to ${first - 1} are missing in the archive`)
    } else if (root !== null && !equalHashes(before, root)) {
      report.problems.push(`${name} continues another log than the segment before it`)
    }
    count(report, segment)
    end = last
    root = segment.root
  }
}

function count(report: ArchiveReport, { index }: Extract<Verified, { kind: 'verified' }>): void {
  report.segments++
  report.events += index.end_position - index.first_position
}
