import { hash } from 'node:crypto'
import type { LineEvent } from '../events/event-line.ts'
import { hashLeaf, toLeaf } from '../events/leaf.ts'
import { nextTurn } from '../platform/async/turns.ts'
import { Frontier } from '../proofs/merkle/frontier.ts'
import { formatHash, type Hash } from '../proofs/merkle/hash.ts'
import { type CompressedBlock, compressBlock, compressFrames } from './blocks/compress.ts'
import { Dictionary } from './blocks/dictionary.ts'
import { BlockBuilder, UnfitEvent } from './blocks/encode.ts'
import {
  type BlockEntry,
  FIRST_LINE,
  FORMAT_VERSION,
  formatIndex,
  formatTrailer,
  type Place,
  type SegmentIndex,
} from './index-format.ts'

/** What a segment is to contain: the events of a shard from `first` up to `end`, exclusive. */
export type SegmentPlan = {
  shard: number
  first: number
  end: number
  /** The origin of the log's tree heads; null if it is not signed. */
  origin: string | null
  /** Roots of the complete subtrees of the `first` leaves before it, left to right. */
  peaks: readonly Hash[]
  /** A signed head of a tree that contains the segment, and the consistency proof up to it. */
  signedHead?: { note: string; proof: readonly Hash[] }
  block?: BlockLimits
}

/** The size at which a block ends. */
export type BlockLimits = { characters: number; events: number }

/**
 * About 1,100 flushes of 100 entries, which take 300 kB: small enough to fetch for one event, and
 * large enough to compress as well as blocks of four times the size do.
 */
const BLOCK: BlockLimits = { characters: 1024 * 1024, events: 4_096 }

/** A segment that was written: its length, its index, and the hash by which it is known. */
export type WrittenSegment = {
  bytes: number
  index: SegmentIndex
  /** SHA-256 of the index, in hex. The index has the hashes of everything else. */
  indexSha256: string
}

/** Milliseconds of work on events before others have a turn. */
const SLICE_MS = 10

/** Writes the file of a segment, holding one block of it and the dictionary in memory. */
export class SegmentWriter {
  /** Set when `content` has ended. */
  written: WrittenSegment | null = null
  readonly #dictionary = new Dictionary()
  readonly #blocks: BlockEntry[] = []
  // No prototype: a type may have any name.
  readonly #types: Record<string, number> = Object.create(null)
  readonly #tree: Frontier
  #offset = 0
  #recordedAt = ''
  #position: number

  constructor(private readonly plan: SegmentPlan) {
    this.#tree = new Frontier(plan.first, plan.peaks)
    this.#position = plan.first
  }

  /**
   * Yields the file of these events, which must be all of the plan, in order. Throws UnfitEvent if
   * one is missing, is another one, or is damaged.
   */
  async *content(pages: AsyncIterable<readonly LineEvent[]>): AsyncGenerator<Buffer, void> {
    yield this.#passed(FIRST_LINE)
    const { characters, events } = this.plan.block ?? BLOCK
    let block = new BlockBuilder(this.#dictionary)
    let ends: [first: string, last: string] | null = null
    let began = performance.now()
    for await (const page of pages) {
      for (const event of page) {
        this.#add(event, block)
        ends = [ends?.[0] ?? event.recordedAt, event.recordedAt]
        if (block.characters >= characters || block.events >= events) {
          yield await this.#endBlock(block, ends)
          block = new BlockBuilder(this.#dictionary)
          ends = null
        }
        if (performance.now() - began < SLICE_MS) continue
        await nextTurn()
        began = performance.now()
      }
    }
    if (ends !== null) yield await this.#endBlock(block, ends)
    yield* this.#end()
  }

  #add(event: LineEvent, block: BlockBuilder): void {
    const { shard, end } = this.plan
    if (event.shard !== shard || event.position !== this.#position || event.position >= end) {
      const found = `${event.shard}/${event.position}`
      throw new UnfitEvent(`Event ${shard}/${this.#position} is missing: ${found} came instead.`)
    }
    if (event.recordedAt < this.#recordedAt) {
      throw new UnfitEvent(`Event ${shard}/${event.position} was recorded before the one before.`)
    }
    this.#recordedAt = event.recordedAt
    block.add(event)
    this.#tree.append(hashLeaf(toLeaf(event)))
    this.#types[event.type] = (this.#types[event.type] ?? 0) + 1
    this.#position++
  }

  async #endBlock(block: BlockBuilder, ends: [first: string, last: string]): Promise<Buffer> {
    const compressed = await compressBlock(block.end())
    this.#blocks.push({
      first_position: this.#position - block.events,
      events: block.events,
      first_recorded_at: ends[0],
      last_recorded_at: ends[1],
      ...this.#placeOf(compressed),
    })
    return this.#passed(compressed.bytes)
  }

  async *#end(): AsyncGenerator<Buffer, void> {
    const { shard, first, end, origin, peaks, signedHead } = this.plan
    if (this.#position !== end) {
      throw new UnfitEvent(`Event ${shard}/${this.#position} is missing: the log ends before it.`)
    }
    const dictionary = await this.#compressDictionary()
    const index: SegmentIndex = {
      format: 'tallybook-segment',
      format_version: FORMAT_VERSION,
      ...{ shard, first_position: first, end_position: end, origin, types: this.#types },
      tree: { peaks: peaks.map(formatHash), root: formatHash(this.#tree.root()) },
      ...(signedHead && {
        signed_head: { note: signedHead.note, proof: signedHead.proof.map(formatHash) },
      }),
      dictionary: dictionary?.entry ?? null,
      blocks: this.#blocks,
    }
    if (dictionary !== null) yield this.#passed(dictionary.bytes)
    const text = formatIndex(index)
    const indexSha256 = hash('sha256', text, 'hex')
    yield this.#passed(text)
    yield this.#passed(formatTrailer(text.length, indexSha256))
    this.written = { bytes: this.#offset, index, indexSha256 }
  }

  async #compressDictionary() {
    const { texts } = this.#dictionary
    if (texts.length === 0) return null
    const compressed = await compressFrames([Buffer.from(JSON.stringify(texts))])
    const entry = { texts: texts.length, ...this.#placeOf(compressed) }
    return { entry, bytes: compressed.bytes }
  }

  #placeOf({ bytes, plainBytes }: CompressedBlock): Place {
    return {
      offset: this.#offset,
      bytes: bytes.length,
      sha256: hash('sha256', bytes, 'hex'),
      plain_bytes: plainBytes,
    }
  }

  #passed(bytes: Buffer): Buffer {
    this.#offset += bytes.length
    return bytes
  }
}
