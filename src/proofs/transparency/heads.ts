import { WaitList } from '../../platform/async/wait-list.ts'
import { inSnapshot, type Sql } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { Frontier } from '../merkle/frontier.ts'
import { equalHashes } from '../merkle/hash.ts'
import type { SigningKey } from '../merkle/key.ts'
import { type SignedTreeHead, signTreeHead } from '../merkle/tree-head.ts'
import { growTree, type KnownTree } from './grow.ts'
import { openHeadStore } from './head-store.ts'
import { keysOfShard, type Origin, originOf, persistHead } from './origin.ts'
import { publishHead, readPublished } from './published.ts'
import { readTreeSizes } from './tiles.ts'

/** The tiles no longer hold the tree that was signed. */
export class TilesReplaced extends Error {
  override name = 'TilesReplaced'

  constructor(shard: number, size: number) {
    super(
      `the tiles of shard ${shard} no longer hold the signed tree of ${size} events: the ` +
        'database was replaced or edited. No tree head of this shard will be signed until a ' +
        'restart has checked the database.',
    )
  }
}

/** Another instance has signed a tree that the database does not hold. */
export class TreesDiverged extends Error {
  override name = 'TreesDiverged'

  constructor(shard: number, size: number) {
    super(
      `another instance has signed a tree of ${size} events of shard ${shard} that differs ` +
        'from the tree here: the database was replaced or edited. No tree head of this shard ' +
        'will be signed here until a restart has checked the database.',
    )
  }
}

/**
 * `refusal`: why nothing is signed any more, until a restart has checked the database. A database
 * that came back as it was, or has grown since, is not trusted without that check.
 */
type Tree = KnownTree & {
  head: SignedTreeHead
  keys: SigningKey[]
  refusal: TilesReplaced | TreesDiverged | null
}

/**
 * The signed tree head of each shard. A newer head is made from the older tree and the leaves added
 * since, so it is consistent with the older one whatever happened to the database. It is on disk
 * before it is served. A process killed in between has signed a head that no one saw.
 *
 * If several instances have the same keys, one signs a shard's heads and publishes them in the
 * database. The others adopt a head once they have grown their own older tree to the same tree.
 */
export class TreeHeads {
  readonly #waitList = new WaitList<{ shard: number; size: number }>()

  private constructor(
    private readonly sql: Sql,
    private readonly origin: Origin,
    private readonly trees: Tree[],
  ) {}

  /**
   * Opens the trees of the persisted or published heads. A shard without a head gets one of an
   * empty tree. Throws LogForked or UserError (head-store.ts).
   */
  static async open(sql: Sql, shards: number, origin: Origin): Promise<TreeHeads> {
    const trees: Tree[] = []
    const published = await readPublished(sql, origin)
    for (let shard = 0; shard < shards; shard++) {
      const keys = keysOfShard(origin, shard)
      const persisted = await openHeadStore(sql, origin, shard, published.get(shard) ?? null)
      const { frontier, lastLeaf } = persisted ?? { frontier: new Frontier(), lastLeaf: null }
      const head = signHead(originOf(origin.name, shard), frontier, keys)
      // Signed again: a key may have been added or removed since.
      await persistFirst(origin, shard, head.note)
      trees.push({ head, frontier, lastLeaf, keys, refusal: null })
    }
    return new TreeHeads(sql, origin, trees)
  }

  /** The keys that sign a shard's tree, the newest first. */
  keys(shard: number): readonly SigningKey[] {
    return this.trees[shard]!.keys
  }

  /** The sizes of the newest heads, by shard. */
  get sizes(): number[] {
    return this.trees.map(({ head }) => head.size)
  }

  /** True if a caller waits for a newer head. */
  get isAwaited(): boolean {
    return this.#waitList.size > 0
  }

  /** The newest head of a shard. */
  newest(shard: number): SignedTreeHead {
    return this.trees[shard]!.head
  }

  /**
   * Adopts the heads that other instances have published, and signs a newer head of each shard that
   * has grown and `signs`, in one bounded step a shard. `more` is true if leaves are left. `failed`
   * has the error of each failed shard: TilesReplaced, TreesDiverged, a full disk, or an
   * unavailable database. Such a shard keeps its previous head.
   */
  async signGrown(
    signs: (shard: number) => boolean = () => true,
  ): Promise<{ more: boolean; failed: Map<number, unknown> }> {
    const failed = new Map<number, unknown>()
    let more = false
    const known = (shard: number) => this.trees[shard]?.head
    const published = await readPublished(this.sql, this.origin, known)
    for (const [shard, size] of (await readTreeSizes(this.sql)).entries()) {
      const tree = this.trees[shard]
      if (!tree) continue
      const head = published.get(shard)
      try {
        if (head && head.size > tree.head.size) await this.#adopt(shard, tree, head)
        if (!signs(shard)) continue
        if (size !== tree.frontier.size) await this.#sign(shard, tree, size)
        more ||= tree.frontier.size < size
        if (head?.note !== tree.head.note) await publishHead(this.sql, shard, tree.head)
      } catch (error) {
        failed.set(shard, error)
      }
    }
    this.#waitList.resolveWhere((need) => this.newest(need.shard).size >= need.size)
    return { more, failed }
  }

  async #sign(shard: number, tree: Tree, size: number): Promise<void> {
    const grown = await this.#grow(shard, tree, tree, size)
    const head = signHead(tree.head.origin, grown.frontier, tree.keys)
    await persistHead(this.origin, shard, head.note)
    Object.assign(tree, { head, ...grown })
  }

  /**
   * Serves a head that another instance has signed, once this instance's tree has grown to the same
   * tree.
   */
  async #adopt(shard: number, tree: Tree, head: SignedTreeHead): Promise<void> {
    let grown: KnownTree = tree
    while (grown.frontier.size < head.size) {
      grown = await this.#grow(shard, tree, grown, head.size)
    }
    if (!equalHashes(grown.frontier.root(), head.root)) {
      tree.refusal = new TreesDiverged(shard, head.size)
      throw tree.refusal
    }
    await persistHead(this.origin, shard, head.note)
    Object.assign(tree, { head, frontier: grown.frontier, lastLeaf: grown.lastLeaf })
  }

  /** Returns `known`, which is the tree or grew from it, grown by a step towards `size`. */
  async #grow(shard: number, tree: Tree, known: KnownTree, size: number): Promise<KnownTree> {
    if (tree.refusal !== null) throw tree.refusal
    // In one snapshot: a tree must not be made of two databases, one of which replaced the other.
    const grown =
      size < known.frontier.size
        ? null
        : await inSnapshot(this.sql, (transaction) => growTree(transaction, shard, known, size))
    if (grown !== null) return grown
    tree.refusal = new TilesReplaced(shard, tree.frontier.size)
    throw tree.refusal
  }

  /** Waits until a shard's newest head covers `size` leaves and returns it, or null after `ms`. */
  async waitForHead(shard: number, size: number, ms: number): Promise<SignedTreeHead | null> {
    if (this.newest(shard).size < size) await this.#waitList.wait({ shard, size }, ms)
    const head = this.newest(shard)
    return head.size >= size ? head : null
  }
}

async function persistFirst(origin: Origin, shard: number, note: string): Promise<void> {
  try {
    await persistHead(origin, shard, note)
  } catch (error) {
    const { message } = error as Error
    throw new UserError(`The tree head of shard ${shard} can't be written: ${message}`)
  }
}

function signHead(origin: string, frontier: Frontier, keys: readonly SigningKey[]): SignedTreeHead {
  return signTreeHead({ origin, size: frontier.size, root: frontier.root() }, keys)
}
