import { Frontier, rootOfHashes } from '../merkle/frontier.ts'
import { equalHashes, HASH_BYTES, type Hash } from '../merkle/hash.ts'
import { formatTilePath, TILE_WIDTH } from '../merkle/tile.ts'
import type { OnFinding } from './finding.ts'
import { NotServed, type PublishedSource } from './sources/source.ts'

/** The hashes of a level's last tile so far, and the number of that tile. */
type Level = { number: number; hashes: Hash[] }

/**
 * Computes the tiles above level 0 from the leaf hashes, and compares them with the published ones,
 * from which proofs are made.
 */
export class UpperTiles {
  /** Level 0 as a tree: only its root is needed. */
  #leaves = new Frontier()
  readonly #levels: Level[] = []

  constructor(
    private readonly source: PublishedSource,
    private readonly shard: number,
    private readonly report: OnFinding,
  ) {}

  /** Adds the next leaf hash, and compares each tile that it completes. */
  async append(leafHash: Hash): Promise<void> {
    this.#leaves.append(leafHash)
    if (this.#leaves.size < TILE_WIDTH) return
    const root = this.#leaves.root()
    this.#leaves = new Frontier()
    await this.#add(1, root)
  }

  /** Compares the partial tiles of the current tree. */
  async compare(): Promise<void> {
    for (const [i, level] of this.#levels.entries()) {
      if (level.hashes.length > 0) await this.#compareTile(i + 1, level)
    }
  }

  async #add(number: number, root: Hash): Promise<void> {
    this.#levels[number - 1] ??= { number: 0, hashes: [] }
    const level = this.#levels[number - 1]!
    level.hashes.push(root)
    if (level.hashes.length < TILE_WIDTH) return
    await this.#compareTile(number, level)
    this.#levels[number - 1] = { number: level.number + 1, hashes: [] }
    await this.#add(number + 1, rootOfHashes(level.hashes))
  }

  async #compareTile(level: number, { number, hashes }: Level): Promise<void> {
    const tile = { level, number, width: hashes.length }
    const at = `shard ${this.shard}`
    try {
      const [bytes] = await this.source.readTiles(this.shard, [tile])
      if (equalHashes(bytes!, Buffer.concat(hashes, hashes.length * HASH_BYTES))) return
      const message = `${formatTilePath(tile)} does not have the roots of the tiles below it`
      this.report({ kind: 'published', at, message })
    } catch (error) {
      if (!(error instanceof NotServed)) throw error
      this.report({ kind: 'published', at, message: `not published: ${error.message}` })
    }
  }
}
