import type { StoredEvent } from '../events/event.ts'
import { nextTurn } from '../platform/async/turns.ts'
import { decompress } from './blocks/compress.ts'
import { Block } from './blocks/decode.ts'
import { MAX_DICTIONARY_CHARACTERS } from './blocks/dictionary.ts'
import { BlockError } from './blocks/numbers.ts'
import { SegmentError } from './failure.ts'
import type { CheckedFile } from './fetch.ts'
import type { BlockEntry, Place, SegmentIndex } from './index-format.ts'
import { type ExpectedSegment, readIndex } from './open.ts'
import { RecentBlocks } from './recent-blocks.ts'

/**
 * Bytes and characters of a block at most: those of an event with the largest body, twice. A block
 * that claims more is refused, to bound memory.
 */
const MAX_BLOCK = 512 * 1024 * 1024

/** Events of a block at most. Writers end one at 4,096. */
const MAX_BLOCK_EVENTS = 65_536

/** Bytes of a dictionary at most: each of its texts may have two quotes, a comma and escapes. */
const MAX_DICTIONARY_BYTES = 8 * MAX_DICTIONARY_CHARACTERS

/** Events that are decoded in one go: some 3 ms of this thread. */
const PAGE_EVENTS = 500

/**
 * Events of a segment after a position and through another, by default to its end; in reverse order
 * with `newestFirst`.
 */
export type SegmentRange = { after: number; through?: number; newestFirst?: boolean }

/**
 * Reads the events of a segment, fetching only the blocks they are in. Each block is checked by its
 * hash. Every method throws SegmentError if the file can't be read.
 */
export class Segment {
  #dictionary: Promise<string[]> | null = null

  constructor(
    private readonly file: CheckedFile,
    readonly index: SegmentIndex,
    private readonly recent = new RecentBlocks(),
  ) {}

  /** Opens the file of a segment, which must be the one that is expected. */
  static async open(
    file: CheckedFile,
    expected: ExpectedSegment = {},
    recent?: RecentBlocks,
  ): Promise<Segment> {
    const { index } = await readIndex(file, expected)
    return new Segment(file, index, recent)
  }

  /** Returns the event at a position, or null if the segment does not contain it. */
  async readEvent(position: number): Promise<StoredEvent | null> {
    const { first_position, end_position } = this.index
    if (!(position >= first_position && position < end_position)) return null
    const number = this.#blockAt(position)
    const block = await this.#readBlock(number)
    const at = position - this.index.blocks[number]!.first_position
    return this.#understand(this.index.blocks[number]!, () => block.decode(at, at + 1)[0]!)
  }

  /**
   * Yields the events of a range, in pages of one block or a part of it. Reads the next block while
   * one is in use, and lets others have a turn between two pages.
   */
  async *readPages({
    after,
    through = Number.MAX_SAFE_INTEGER,
    newestFirst = false,
  }: SegmentRange): AsyncGenerator<StoredEvent[]> {
    const { first_position, end_position } = this.index
    const first = Math.max(after + 1, first_position)
    const last = Math.min(through, end_position - 1)
    if (first > last) return
    const [from, to] = [this.#blockAt(first), this.#blockAt(last)]
    const step = newestFirst ? -1 : 1
    const readAt = (number: number) => {
      if (number < from || number > to) return null
      const block = this.#readBlock(number)
      // A caller that stops early never awaits the next block.
      block.catch(() => {})
      return block
    }
    let number = newestFirst ? to : from
    for (let reading = readAt(number); reading !== null; number += step) {
      const block = await reading
      reading = readAt(number + step)
      const { first_position: start, events } = this.index.blocks[number]!
      const [low, high] = [Math.max(first - start, 0), Math.min(last + 1 - start, events)]
      const pages = this.#decodePages(number, block, low, high)
      if (newestFirst) yield (await Array.fromAsync(pages)).flat().reverse()
      else yield* pages
    }
  }

  /** Yields the events of a block from one index to another, exclusive. */
  async *#decodePages(
    number: number,
    block: Block,
    from: number,
    end: number,
  ): AsyncGenerator<StoredEvent[]> {
    const entry = this.index.blocks[number]!
    const pages = block.pages(from, end, PAGE_EVENTS)
    for (;;) {
      const { done, value } = this.#understand(entry, () => pages.next())
      if (done) return
      yield value
      if (end - from > PAGE_EVENTS) await nextTurn()
    }
  }

  /**
   * Returns the first position recorded at `at` or later, or the end if there is none. The time is
   * written as the log writes it (`toRecordedAt`).
   */
  async positionAt(at: string): Promise<number> {
    const { blocks, end_position } = this.index
    const number = firstWhere(blocks, ({ last_recorded_at }) => last_recorded_at >= at)
    const block = blocks[number]
    if (block === undefined) return end_position
    if (block.first_recorded_at >= at) return block.first_position
    const times = await this.#readBlock(number)
    return block.first_position + firstIndex(block.events, (i) => times.recordedAt(i) >= at)
  }

  #blockAt(position: number): number {
    return firstWhere(
      this.index.blocks,
      ({ first_position, events }) => first_position + events > position,
    )
  }

  #readBlock(number: number): Promise<Block> {
    const entry = this.index.blocks[number]!
    const name = `${this.file.name} ${number}`
    return this.recent.get(name, entry.plain_bytes, () => this.#fetchBlock(entry))
  }

  async #fetchBlock(entry: BlockEntry): Promise<Block> {
    const dictionary = this.index.dictionary === null ? [] : await this.#readDictionary()
    const plain = await this.#fetch(entry, MAX_BLOCK)
    return this.#understand(entry, () => openBlock(plain, entry, this.index.shard, dictionary))
  }

  #readDictionary(): Promise<string[]> {
    this.#dictionary ??= this.#fetchDictionary().catch((error) => {
      this.#dictionary = null
      throw error
    })
    return this.#dictionary
  }

  async #fetchDictionary(): Promise<string[]> {
    const entry = this.index.dictionary!
    const plain = await this.#fetch(entry, MAX_DICTIONARY_BYTES)
    return this.#understand(entry, () => readTexts(plain, entry.texts))
  }

  async #fetch(place: Place, maxBytes: number): Promise<Buffer> {
    const { offset, bytes, sha256, plain_bytes } = place
    if (plain_bytes > maxBytes || bytes > maxBytes) {
      throw this.#malformed(place, `it claims to have ${plain_bytes} bytes`)
    }
    const compressed = await this.file.read({ offset, length: bytes }, sha256)
    const plain = await decompress(compressed, plain_bytes).catch((error) => error as Error)
    return this.#understand(place, () => {
      if (plain instanceof Error) throw plain
      return plain
    })
  }

  #understand<Value>(place: Place, read: () => Value): Value {
    try {
      return read()
    } catch (error) {
      throw error instanceof BlockError ? this.#malformed(place, error.message) : error
    }
  }

  #malformed({ offset }: Place, reason: string): SegmentError {
    const where = `${this.file.name}, block at byte ${offset}`
    return new SegmentError({ kind: 'malformed', reason: `${where}: ${reason}` })
  }
}

function openBlock(
  plain: Buffer,
  entry: BlockEntry,
  shard: number,
  dictionary: readonly string[],
): Block {
  if (entry.events > MAX_BLOCK_EVENTS) throw new BlockError('it claims to have too many events')
  const block = new Block(plain, { shard, ...entry }, dictionary, MAX_BLOCK)
  const [first, last] = [block.recordedAt(0), block.recordedAt(entry.events - 1)]
  if (first !== entry.first_recorded_at || last !== entry.last_recorded_at) {
    throw new BlockError('its times differ from those in the index')
  }
  return block
}

function readTexts(plain: Buffer, length: number): string[] {
  let texts: unknown
  try {
    texts = JSON.parse(plain.toString())
  } catch {
    throw new BlockError('the dictionary is not JSON')
  }
  if (!isTexts(texts) || texts.length !== length) {
    throw new BlockError('the dictionary is not a list of its texts')
  }
  return texts
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string')

/** Returns the index of the first item for which a test is true, as it is for all after it. */
const firstWhere = <Item>(items: readonly Item[], test: (item: Item) => boolean): number =>
  firstIndex(items.length, (i) => test(items[i]!))

/** Like `firstWhere`, for the numbers from 0 to `length`, which is the result if there is none. */
function firstIndex(length: number, test: (index: number) => boolean): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (test(middle)) high = middle
    else low = middle + 1
  }
  return low
}
