import type { Sql } from '../db/pool.ts'
import { Frontier } from '../merkle/frontier.ts'
import { equalHashes, HASH_BYTES, type Hash } from '../merkle/hash.ts'
import type { SigningKey } from '../merkle/key.ts'
import { type SignedTreeHead, signTreeHead } from '../merkle/tree-head.ts'
import { openKeptHead } from './kept-head.ts'
import { keepHead, keysOfShard, type Origin, originOf } from './origin.ts'
import { readLeafHashes, readTreeSizes } from './tiles.ts'

/** Tiles of one step: 16,384 hashes, some 20 ms of this thread. */
const STEP_TILES = 64

/** The tiles are no longer those of the tree that was signed. */
export class TreeChanged extends Error {
  override name = 'TreeChanged'

  constructor(shard: number, size: number) {
    super(
      `the tiles of shard ${shard} no longer hold the tree of ${size} events that was signed: ` +
        'the database was replaced or edited, and no tree head of this shard will be signed. ' +
        'A restart says more.',
    )
  }
}

type Tree = {
  head: SignedTreeHead
  frontier: Frontier
  /** Of the newest leaf in the frontier; null where it was not seen since the start. */
  lastLeaf: Hash | null
  keys: SigningKey[]
}

/**
 * The signed tree head of each shard. A newer one is made of the older tree and the leaves that
 * came since, so that it is consistent with it whatever happened to the database; it is on disk
 * before anybody sees it. A process that was killed in between has signed one that nobody saw.
 */
export class TreeHeads {
  readonly #waiting: { shard: number; size: number; resolve: () => void }[] = []

  private constructor(
    private readonly sql: Sql,
    private readonly origin: Origin,
    private readonly trees: Tree[],
  ) {}

  /**
   * Opens the trees where they were left; a shard that has no head yet gets that of an empty tree.
   * Throws LogForked or StartError (kept-head.ts).
   */
  static async open(sql: Sql, shards: number, origin: Origin): Promise<TreeHeads> {
    const trees: Tree[] = []
    for (let shard = 0; shard < shards; shard++) {
      const keys = keysOfShard(origin, shard)
      const kept = await openKeptHead(sql, origin, shard)
      const frontier = kept?.frontier ?? new Frontier()
      const head = signHead(originOf(origin.name, shard), frontier, keys)
      // Signed anew: a key may have come or gone since.
      if (head.note !== kept?.head.note) await keepHead(origin, shard, head.note)
      trees.push({ head, frontier, lastLeaf: null, keys })
    }
    return new TreeHeads(sql, origin, trees)
  }

  /** The keys that sign a shard's tree, the newest first. */
  keys(shard: number): readonly SigningKey[] {
    return this.trees[shard]!.keys
  }

  /** Leaves that the newest heads cover, by shard. */
  get sizes(): number[] {
    return this.trees.map(({ head }) => head.size)
  }

  newest(shard: number): SignedTreeHead {
    return this.trees[shard]!.head
  }

  /**
   * Signs a newer head of each shard that has grown, in one bounded step a shard; says whether more
   * is left. Gives what went wrong by shard: TreeChanged, a full disk, the database away. Such a
   * shard keeps the head it has.
   */
  async signGrown(): Promise<{ more: boolean; failed: Map<number, unknown> }> {
    const failed = new Map<number, unknown>()
    let more = false
    for (const [shard, size] of (await readTreeSizes(this.sql)).entries()) {
      const tree = this.trees[shard]
      if (!tree || size === tree.frontier.size) continue
      try {
        await this.#sign(shard, tree)
        more ||= tree.frontier.size < size
      } catch (error) {
        failed.set(shard, error)
      }
    }
    this.#wake()
    return { more, failed }
  }

  async #sign(shard: number, tree: Tree): Promise<void> {
    const { size } = tree.frontier
    const read = await readLeafHashes(this.sql, shard, Math.max(size - 1, 0), STEP_TILES)
    const leaves = toHashes(read.hashes)
    const known = size - read.from
    const last = known === 0 ? null : leaves[known - 1]
    const isOther = tree.lastLeaf !== null && last && !equalHashes(tree.lastLeaf, last)
    if (last === undefined || isOther) throw new TreeChanged(shard, size)
    const frontier = tree.frontier.copy()
    for (const leaf of leaves.slice(known)) frontier.append(leaf)
    const head = signHead(tree.head.origin, frontier, tree.keys)
    await keepHead(this.origin, shard, head.note)
    Object.assign(tree, { head, frontier, lastLeaf: Buffer.from(leaves.at(-1)!) })
  }

  /** The newest head as soon as it covers so many leaves; null where it doesn't in `ms`. */
  async covering(shard: number, size: number, ms: number): Promise<SignedTreeHead | null> {
    if (this.newest(shard).size < size) {
      await new Promise<void>((resolve) => {
        const waiting = { shard, size, resolve: done }
        const timer = setTimeout(done, ms)
        const all = this.#waiting
        function done() {
          clearTimeout(timer)
          all.splice(all.indexOf(waiting), 1)
          resolve()
        }
        all.push(waiting)
      })
    }
    const head = this.newest(shard)
    return head.size >= size ? head : null
  }

  #wake(): void {
    for (const { shard, size, resolve } of [...this.#waiting]) {
      if (this.newest(shard).size >= size) resolve()
    }
  }
}

function signHead(origin: string, frontier: Frontier, keys: readonly SigningKey[]): SignedTreeHead {
  return signTreeHead({ origin, size: frontier.size, root: frontier.root() }, keys)
}

function toHashes(bytes: Uint8Array): Hash[] {
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) =>
    bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
}
