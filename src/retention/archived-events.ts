import type { StoredEvent } from '../events/event.ts'
import {
  ArchiveUnavailable,
  type EventArchive,
  type Span,
  type Stretch,
  type Window,
} from '../log/archived.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { BlockCache } from '../segment-files/cache.ts'
import { SegmentError } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import { Segment } from '../segment-files/read.ts'
import { RecentBlocks } from '../segment-files/recent-blocks.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import type { FileChecks } from './file-checks.ts'
import { readLoaded } from './load.ts'
import type { ArchivedSegment, Registry } from './registry.ts'

/** Characters of payloads that a window has, but for at least one page of a block. */
const MAX_CHARACTERS = 8 * 1024 * 1024

/** Segments whose index is in memory: some 100 kB each. */
const MAX_OPEN = 16

export type ArchivedEventsOptions = {
  registry: Registry
  /** Connections that don't prepare statements, for transactions with loaded events. */
  loading: Sql
  /** Null if the service was not told where the archive is. */
  store: SegmentStore | null
  /** Keeps what was fetched. */
  cache: BlockCache | null
  checks: FileChecks
}

/** The events that are read from the archive. */
export class ArchivedEvents implements EventArchive {
  /** Segments that were read last, by the name of their file; the oldest first. */
  readonly #open = new Map<string, Promise<Segment>>()
  /** Of all segments, so that their memory does not grow with the number that are open. */
  readonly #recent = new RecentBlocks()

  constructor(private readonly options: ArchivedEventsOptions) {}

  spans(shard: number): Promise<readonly Span[]> {
    return this.options.registry.of(shard)
  }

  async open(stretch: Stretch, maxEvents: number, newestFirst: boolean): Promise<Window> {
    const { shard, after, through } = stretch
    const segments = await this.options.registry.of(shard)
    const at = newestFirst ? through : after + 1
    const found = segments.find(({ first, end }) => at >= first && at < end)
    if (found === undefined) throw new ArchiveUnavailable(`Event ${shard}/${at} was just restored.`)
    return this.#reading(found, async (segment) => {
      const wanted = newestFirst
        ? { after: Math.max(after, through - maxEvents), through, newestFirst }
        : { after, through: Math.min(through, after + maxEvents) }
      const events: StoredEvent[] = []
      let characters = 0
      for await (const page of segment.readPages(wanted)) {
        for (const event of page) characters += event.payload.length
        events.push(...page)
        if (characters >= MAX_CHARACTERS) break
      }
      const last = events.at(-1)!.position
      const window = newestFirst ? { after: last - 1, through } : { after, through: last }
      return {
        ...{ ...window, events },
        read: (read) => readLoaded(this.options.loading, events, read),
      }
    })
  }

  async positionAt(shard: number, span: Span, at: string): Promise<number> {
    const segments = await this.options.registry.of(shard)
    const found = segments.find(({ first }) => first === span.first)
    if (found === undefined)
      throw new ArchiveUnavailable(`${shard}/${span.first} was just restored.`)
    if (found.lastRecordedAt < at) return span.end
    if (found.firstRecordedAt >= at) return span.first
    return this.#reading(found, (segment) => segment.positionAt(at))
  }

  async hasLeft(shard: number, position: number): Promise<boolean> {
    const { registry } = this.options
    await registry.refresh()
    const segments = await registry.of(shard)
    return segments.some(({ first, end }) => position >= first && position < end)
  }

  async #reading<Value>(
    segment: ArchivedSegment,
    read: (segment: Segment) => Promise<Value>,
  ): Promise<Value> {
    try {
      return await read(await this.#openSegment(segment))
    } catch (error) {
      if (!(error instanceof SegmentError)) throw error
      this.options.checks.note(segment, error.failure, read)
      const { shard, first, end } = segment
      const where = `${shard}/${first} to ${end - 1}`
      throw new ArchiveUnavailable(`The archive has events ${where}: ${error.failure.reason}.`)
    }
  }

  #openSegment(found: ArchivedSegment): Promise<Segment> {
    const { fileName } = found
    const known = this.#open.get(fileName)
    this.#open.delete(fileName)
    const segment = known ?? this.#fetch(found)
    this.#open.set(fileName, segment)
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= MAX_OPEN) break
      this.#open.delete(oldest)
    }
    // A failure is not kept: the store may be back.
    segment.catch(() => {
      if (this.#open.get(fileName) === segment) this.#open.delete(fileName)
    })
    return segment
  }

  async #fetch({ shard, first, end, fileName, fileBytes, indexSha256 }: ArchivedSegment) {
    const { store, cache } = this.options
    if (store === null) {
      throw new ArchiveUnavailable(
        `Events ${shard}/${first} to ${end - 1} are in the archive: set TALLYBOOK_ARCHIVE_URL.`,
      )
    }
    const file = new CheckedFile(store, fileName, cache)
    const expected = { shard, first, end, indexSha256, bytes: fileBytes }
    return Segment.open(file, expected, this.#recent)
  }
}
