import { join } from 'node:path'
import { hashPayload } from '../events/event.ts'
import { type LineEvent, parseEventLine } from '../events/event-line.ts'
import { hashLeaf } from '../events/leaf.ts'
import type { Hash } from '../proofs/merkle/hash.ts'
import type { Manifest, PartManifest, ShardManifest } from './manifest.ts'
import { mergeByTime } from './merge.ts'
import { CHUNK_BYTES, PartError, readPart } from './read-part.ts'
import { Recount } from './recount.ts'

/** Something in an archive that isn't as an export writes it. */
export type Problem = {
  /** Below the archive's folder. */
  file: string
  /** `0/41`; null where it concerns the file as a whole. */
  at: string | null
  message: string
}

/** An event whose line, place, payload and leaf were found right; `leaf` is its row as JSON. */
export type CheckedEvent = { event: LineEvent; leaf: string; leafHash: Hash }

/** Bytes of lines that a merged reading holds of all shards together, and of one at least. */
const MERGE_BYTES = { all: 32 * 1024 * 1024, shard: 16 * 1024 }

/**
 * Reads all parts and checks them: each file against its SHA-256, each line, that positions have no
 * gap, that time doesn't run backwards, each payload and leaf against its hash, and at last what
 * the manifest counts. Every problem goes to `report`, which may throw to end it; otherwise it
 * reads on. Holds a few megabytes of one part at a time.
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
 * As `checkParts`, with the events of all shards in the order of their time; those of one time by
 * shard. Reads all shards at once, of each the less the more there are.
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

/** What was counted of an archive, and found, so far. */
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
    // Where lines were left out the sums can't be right, and it has been said why.
    if (this.#problems > 0) return
    for (const message of this.recount.compare(manifest)) {
      this.note({ file: 'manifest.json', at: null, message })
    }
  }
}

/** Where the reading of a shard is. */
type Course = { shard: ShardManifest; recordedAt: string }

async function* checkShard(
  check: Check,
  shard: ShardManifest,
  bytes: number,
): AsyncGenerator<CheckedEvent[]> {
  const course: Course = { shard, recordedAt: '' }
  for (const part of shard.parts) yield* checkPart(check, part, course, bytes)
}

async function* checkPart(
  check: Check,
  part: PartManifest,
  course: Course,
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
        if (sha256 !== part.sha256) noteFile("its SHA-256 is not the manifest's")
        break
      }
      const events: CheckedEvent[] = []
      for (const line of read.value) {
        // More than there may be: no end of them is waited for.
        if (position > part.last_position) return noteFile(`it has more than ${part.events} lines`)
        const at = `${course.shard.shard}/${position}`
        const checked = checkLine(line, course, position, (message) =>
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
    noteFile(`it can't be read on: ${error.message}`)
  } finally {
    await reader.return({ bytes: 0, sha256: '' })
  }
  const missing = part.last_position + 1 - position
  if (missing > 0) noteFile(`its last ${missing} of ${part.events} events are missing`)
}

/** Null where the line is none, or another event's. */
function checkLine(
  line: string,
  course: Course,
  position: number,
  note: (message: string) => void,
): CheckedEvent | null {
  const parsed = parseEventLine(line)
  if (parsed.kind === 'malformed') {
    note(`the line is not an event: ${parsed.reason}`)
    return null
  }
  const { event, leaf, leafHash } = parsed
  if (event.shard !== course.shard.shard || event.position !== position) {
    note(`event ${event.shard}/${event.position} stands in its place`)
    return null
  }
  if (hashPayload(event.payload) !== event.payloadSha256) {
    note("the payload's SHA-256 is not the one that stands beside it")
  }
  const hash = hashLeaf(leaf)
  if (leafHash === null) note('it has no leaf_hash')
  else if (hash.toString('hex') !== leafHash) note("leaf_hash is not the leaf's")
  if (event.recordedAt < course.recordedAt) {
    note(`recorded_at ${event.recordedAt} is before that of the event before it`)
  }
  course.recordedAt = event.recordedAt
  return { event, leaf, leafHash: hash }
}
