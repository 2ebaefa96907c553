import { join } from 'node:path'
import { hashPayload } from '../events/event.ts'
import { type LineEvent, parseEventLine } from '../events/event-line.ts'
import { hashLeaf } from '../events/leaf.ts'
import type { Hash } from '../proofs/merkle/hash.ts'
import type { Manifest, PartManifest, ShardManifest } from './manifest.ts'
import { mergeByTime } from './merge.ts'
import { CHUNK_BYTES, PartError, readPart } from './read-part.ts'
import { Recount } from './recount.ts'

/** A problem of an archive: something that an export does not write. */
export type Problem = {
  /** The file, relative to the archive's folder. */
  file: string
  /** The event, `0/41`, or null if the problem concerns the whole file. */
  at: string | null
  message: string
}

/** An event that was checked. `leaf` is its row as JSON. */
export type CheckedEvent = { event: LineEvent; leaf: string; leafHash: Hash }

/** Maximum bytes of lines that a merged read holds for all shards, and minimum for each shard. */
const MERGE_BYTES = { all: 32 * 1024 * 1024, shard: 16 * 1024 }

/**
 * Reads and checks all parts in order: the SHA-256 of each file, each line, that positions have no
 * gap, that time does not run backwards, the hash of each payload and leaf, and finally the counts
 * of the manifest. Every problem goes to `report`, which may throw to stop; otherwise reading goes
 * on. Holds a few megabytes of one part at a time.
 */
export async function* checkParts(
  directory: string,
  manifest: Manifest,
  report: (problem: Problem) => void,
): AsyncGenerator<CheckedEvent[]> {
  const check = new Check(directory, report)
  for (const shard of manifest.shards) yield* checkShard(check, shard, CHUNK_BYTES)
  check.end(manifest)
}

/**
 * Like `checkParts`, but yields the events of all shards in the order of their time, and by shard
 * if times are equal. Reads all shards at once: the more there are, the less of each is in memory.
 */
export async function* checkMerged(
  directory: string,
  manifest: Manifest,
  report: (problem: Problem) => void,
): AsyncGenerator<CheckedEvent[]> {
  const check = new Check(directory, report)
  const share = Math.floor(MERGE_BYTES.all / manifest.shards.length)
  const bytes = Math.min(Math.max(share, MERGE_BYTES.shard), CHUNK_BYTES)
  yield* mergeByTime(manifest.shards.map((shard) => checkShard(check, shard, bytes)))
  check.end(manifest)
}

/** The counts of an archive, and the number of its problems, so far. */
class Check {
  readonly recount = new Recount()
  #problems = 0

  constructor(
    readonly directory: string,
    private readonly report: (problem: Problem) => void,
  ) {}

  note(problem: Problem): void {
    this.#problems++
    this.report(problem)
  }

  end(manifest: Manifest): void {
    // If there was a problem, lines may have been skipped, and the sums can't match.
    if (this.#problems > 0) return
    for (const message of this.recount.compare(manifest)) {
      this.note({ file: 'manifest.json', at: null, message })
    }
  }
}

/** A shard that is being read, and when its last event was recorded. */
type ShardProgress = { shard: ShardManifest; recordedAt: string }

async function* checkShard(
  check: Check,
  shard: ShardManifest,
  bytes: number,
): AsyncGenerator<CheckedEvent[]> {
  const progress: ShardProgress = { shard, recordedAt: '' }
  for (const part of shard.parts) yield* checkPart(check, part, progress, bytes)
}

async function* checkPart(
  check: Check,
  part: PartManifest,
  progress: ShardProgress,
  chunkBytes: number,
): AsyncGenerator<CheckedEvent[]> {
  const noteFile = (message: string) => check.note({ file: part.file, at: null, message })
  const reader = readPart(join(check.directory, part.file), chunkBytes)
  let position = part.first_position
  try {
    for (;;) {
      const read = await reader.next()
      if (read.done) {
        const { bytes, sha256 } = read.value
        if (bytes !== part.bytes) noteFile(`it has ${bytes} bytes, not ${part.bytes}`)
        if (sha256 !== part.sha256) noteFile("its SHA-256 differs from the manifest's")
        break
      }
      const events: CheckedEvent[] = []
      for (const line of read.value) {
        // Stop: a file with too many lines might be endless.
        if (position > part.last_position) return noteFile(`it has more than ${part.events} lines`)
        const at = `${progress.shard.shard}/${position}`
        const checked = checkLine(line, progress, position, (message) =>
          check.note({ file: part.file, at, message }),
        )
        position++
        if (checked === null) continue
        check.recount.add(checked.event)
        events.push(checked)
      }
      yield events
    }
  } catch (error) {
    if (!(error instanceof PartError)) throw error
    noteFile(`reading failed: ${error.message}`)
  } finally {
    await reader.return({ bytes: 0, sha256: '' })
  }
  const missing = part.last_position + 1 - position
  if (missing > 0) noteFile(`its last ${missing} of ${part.events} events are missing`)
}

/** Checks a line. Returns null if it is not an event, or not the expected one. */
function checkLine(
  line: string,
  progress: ShardProgress,
  position: number,
  note: (message: string) => void,
): CheckedEvent | null {
  const parsed = parseEventLine(line)
  if (parsed.kind === 'malformed') {
    note(`the line is not an event: ${parsed.reason}`)
    return null
  }
  const { event, leaf, leafHash } = parsed
  if (event.shard !== progress.shard.shard || event.position !== position) {
    note(`event ${event.shard}/${event.position} found in its place`)
    return null
  }
  if (hashPayload(event.payload) !== event.payloadSha256) {
    note('the payload does not match payload_sha256')
  }
  const hash = hashLeaf(leaf)
  if (leafHash === null) note('leaf_hash is missing')
  else if (hash.toString('hex') !== leafHash) note('leaf_hash does not match the leaf')
  if (event.recordedAt < progress.recordedAt) {
    note(`recorded_at ${event.recordedAt} is before that of the preceding event`)
  }
  progress.recordedAt = event.recordedAt
  return { event, leaf, leafHash: hash }
}
