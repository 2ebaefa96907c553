import type { StoredEvent } from '../events/event.ts'
import { decompress } from './blocks/compress.ts'
import { decodeBlock } from './blocks/decode.ts'
import { MAX_DICTIONARY_CHARACTERS } from './blocks/dictionary.ts'
import { BlockError } from './blocks/numbers.ts'
import { SegmentError } from './failure.ts'
import type { CheckedFile } from './fetch.ts'
import type { BlockEntry, Place, SegmentIndex } from './index-format.ts'
import { type ExpectedSegment, readIndex } from './open.ts'

/**
 * Bytes and characters of a block at most: those of an event with the largest body, twice. A block
 * that claims more is refused, to bound memory.
 */
const MAX_BLOCK = 512 * 1024 * 1024

/** Events of a block at most. Writers end one at 4,096. */
const MAX_BLOCK_EVENTS = 65_536

/** Bytes of a dictionary at most: each of its texts may have two quotes, a comma and escapes. */
const MAX_DICTIONARY_BYTES = 8 * MAX_DICTIONARY_CHARACTERS

/** Decoded blocks that are kept: a page of scattered events may go back and forth between some. */
const RECENT_BLOCKS = 4

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
  /** Blocks read last, or being read, by number; the oldest first. */
  readonly #recent = new Map<number, Promise<StoredEvent[]>>()
  #dictionary: Promise<string[]> | null = null

  constructor(
    private readonly file: CheckedFile,
    readonly index: SegmentIndex,
  ) {}

  /** Opens the file of a segment, which must be the one that is expected. */
  static async open(file: CheckedFile, expected: ExpectedSegment = {}): Promise<Segment> {
    const { index } = await readIndex(file, expected)
    return new Segment(file, index)
  }

  /** Returns the event at a position, or null if the segment does not contain it. */
  async readEvent(position: number): Promise<StoredEvent | null> {
    const { first_position, end_position } = this.index
    if (!(position >= first_position && position < end_position)) return null
    const number = this.#blockAt(position)
    const events = await this.#readBlock(number)
    return events[position - this.index.blocks[number]!.first_position]!
  }

  /** Yields the events of a range, in pages of one block; reads the next while one is in use. */
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
    for (let block = readAt(number); block !== null; ) {
      const events = await block
      number += step
      block = readAt(number)
      const page = events.filter(({ position }) => position >= first && position <= last)
      yield newestFirst ? page.reverse() : page
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
    const events = await this.#readBlock(number)
    return block.first_position + firstWhere(events, ({ recordedAt }) => recordedAt >= at)
  }

  #blockAt(position: number): number {
    return firstWhere(
      this.index.blocks,
      ({ first_position, events }) => first_position + events > position,
    )
  }

  #readBlock(number: number): Promise<StoredEvent[]> {
    const known = this.#recent.get(number)
    this.#recent.delete(number)
    const block = known ?? this.#fetchBlock(number)
    this.#recent.set(number, block)
    if (known !== undefined) return block
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= RECENT_BLOCKS) break
      this.#recent.delete(oldest)
    }
    // A failure is not kept: the store may be back.
    block.catch(() => {
      if (this.#recent.get(number) === block) this.#recent.delete(number)
    })
    return block
  }

  async #fetchBlock(number: number): Promise<StoredEvent[]> {
    const entry = this.index.blocks[number]!
    const dictionary = this.index.dictionary === null ? [] : await this.#readDictionary()
    const plain = await this.#fetch(entry, MAX_BLOCK)
    return await this.#understand(entry, () => decode(plain, entry, this.index.shard, dictionary))
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
    return await this.#understand(entry, () => readTexts(plain, entry.texts))
  }

  async #fetch(place: Place, maxBytes: number): Promise<Buffer> {
    const { offset, bytes, sha256, plain_bytes } = place
    if (plain_bytes > maxBytes || bytes > maxBytes) {
      throw this.#malformed(place, `it claims to have ${plain_bytes} bytes`)
    }
    const compressed = await this.file.read({ offset, length: bytes }, sha256)
    return await this.#understand(place, () => decompress(compressed, plain_bytes))
  }

  async #understand<Value>(place: Place, read: () => Value | Promise<Value>): Promise<Value> {
    try {
      return await read()
    } catch (error) {
      throw error instanceof BlockError ? this.#malformed(place, error.message) : error
    }
  }

  #malformed({ offset }: Place, reason: string): SegmentError {
    const where = `${this.file.name}, block at byte ${offset}`
    return new SegmentError({ kind: 'malformed', reason: `${where}: ${reason}` })
  }
}

function decode(
  plain: Buffer,
  entry: BlockEntry,
  shard: number,
  dictionary: readonly string[],
): StoredEvent[] {
  if (entry.events > MAX_BLOCK_EVENTS) throw new BlockError('it claims to have too many events')
  const events = decodeBlock(plain, { shard, ...entry }, dictionary, MAX_BLOCK)
  const [first, last] = [events[0]!.recordedAt, events.at(-1)!.recordedAt]
  if (first !== entry.first_recorded_at || last !== entry.last_recorded_at) {
    throw new BlockError('its times differ from those in the index')
  }
  return events
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
function firstWhere<Item>(items: readonly Item[], test: (item: Item) => boolean): number {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (test(items[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}
