import { hashLeaf } from '../../events/leaf.ts'
import { parseEntries } from '../merkle/entries.ts'
import { equalHashes, type Hash, splitHashes } from '../merkle/hash.ts'
import { TILE_WIDTH, type Tile } from '../merkle/tile.ts'
import type { OnFinding } from './finding.ts'
import { NotServed, type PublishedSource } from './sources/source.ts'

/** Tiles that are asked for before the walk comes to them: else it waits for each. */
const AHEAD = 4

/** What a server gave for a tile and its bundle; a sentence where it is not published. */
type Read = { tile: Tile; hashes: Uint8Array | string; bundle: Uint8Array | string }

/** The published leaves of a shard, tile after tile, each compared with its bundle of entries. */
export class PublishedLeaves {
  readonly #reading: Promise<Read>[] = []
  #next: number

  constructor(
    private readonly source: PublishedSource,
    private readonly shard: number,
    /** Leaves from the tile of `from` on, to the one before `to`. */
    from: number,
    private readonly to: number,
    private readonly report: OnFinding,
  ) {
    this.#next = Math.floor(from / TILE_WIDTH)
  }

  /**
   * The leaf hashes of the next tile as they are published, and a finding where the entries differ
   * from them. Null where there are none, which is a finding too.
   */
  async readTile(): Promise<Hash[] | null> {
    while (this.#reading.length < AHEAD && this.#next * TILE_WIDTH < this.to) {
      const reading = this.#read(this.#next++)
      // It is waited for when its turn comes, or never, where the walk ends before.
      reading.catch(() => {})
      this.#reading.push(reading)
    }
    const { tile, hashes: bytes, bundle } = await this.#reading.shift()!
    const first = tile.number * TILE_WIDTH
    const missing = [bytes, bundle].filter((part) => typeof part === 'string')
    for (const why of missing) this.#find(first, `it is not published: ${why}`)
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
      this.#find(first, `the bundle of its entries has not ${width} leaves`)
      return
    }
    for (const [i, leaf] of leaves.entries()) {
      if (equalHashes(hashLeaf(leaf), hashes[i]!)) continue
      this.#find(first + i, 'the published entry is not the one whose hash is in the tile')
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
