import { hashLeaf } from '../../events/leaf.ts'
import { parseEntries } from '../merkle/entries.ts'
import { equalHashes, type Hash, splitHashes } from '../merkle/hash.ts'
import { TILE_WIDTH, type Tile } from '../merkle/tile.ts'
import type { OnFinding } from './finding.ts'
import { NotServed, type PublishedSource } from './sources/source.ts'

/** Tiles requested ahead of the walk, so that it does not wait for each. */
const MAX_PREFETCHED = 4

/** The hashes and entries of a tile, each replaced by a sentence if it is not published. */
type Read = { tile: Tile; hashes: Uint8Array | string; bundle: Uint8Array | string }

/** Reads the published leaves of a shard, tile by tile, and compares each tile with its entries. */
export class PublishedLeaves {
  readonly #reading: Promise<Read>[] = []
  #next: number

  constructor(
    private readonly source: PublishedSource,
    private readonly shard: number,
    /** Reads leaves from the tile of `from` to `to` (exclusive). */
    from: number,
    private readonly to: number,
    private readonly report: OnFinding,
  ) {
    this.#next = Math.floor(from / TILE_WIDTH)
  }

  /**
   * Returns the published leaf hashes of the next tile. Reports entries that differ from them.
   * Returns null if the tile is not published, which it also reports.
   */
  async readTile(): Promise<Hash[] | null> {
    while (this.#reading.length < MAX_PREFETCHED && this.#next * TILE_WIDTH < this.to) {
      const reading = this.#read(this.#next++)
      // Awaited later, or never if the walk ends before.
      reading.catch(() => {})
      this.#reading.push(reading)
    }
    const { tile, hashes: bytes, bundle } = await this.#reading.shift()!
    const first = tile.number * TILE_WIDTH
    const missing = [bytes, bundle].filter((part) => typeof part === 'string')
    for (const why of missing) this.#find(first, `not published: ${why}`)
    if (typeof bytes === 'string') return null
    const hashes = splitHashes(bytes)
    if (typeof bundle !== 'string') this.#compare(tile, hashes, bundle)
    return hashes
  }

  async #read(number: number): Promise<Read> {
    const width = Math.min(TILE_WIDTH, this.to - number * TILE_WIDTH)
    const tile = { level: 0, number, width }
    const [hashes, bundle] = await Promise.all([
      this.source.readTiles(this.shard, [tile]).then(([read]) => read!, toSentence),
      this.source.readEntries(this.shard, tile).catch(toSentence),
    ])
    return { tile, hashes, bundle }
  }

  #compare({ number, width }: Tile, hashes: Hash[], bundle: Uint8Array): void {
    const leaves = parseEntries(bundle)
    const first = number * TILE_WIDTH
    if (leaves?.length !== width) {
      this.#find(first, `the bundle of entries does not have ${width} leaves`)
      return
    }
    for (const [i, leaf] of leaves.entries()) {
      if (equalHashes(hashLeaf(leaf), hashes[i]!)) continue
      this.#find(first + i, 'the published entry does not match its hash in the tile')
    }
  }

  #find(position: number, message: string): void {
    this.report({ kind: 'published', at: `${this.shard}/${position}`, message })
  }
}

function toSentence(error: unknown): string {
  if (error instanceof NotServed) return error.message
  throw error
}
