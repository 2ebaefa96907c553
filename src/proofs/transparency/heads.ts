import { WaitList } from '../../platform/async/wait-list.ts'
import { inSnapshot, type Sql } from '../../platform/postgres/pool.ts'
import { UserError } from '../../platform/user-error.ts'
import { Frontier } from '../merkle/frontier.ts'
import { equalHashes } from '../merkle/hash.ts'
import type { SigningKey } from '../merkle/key.ts'
import { type SignedTreeHead, signTreeHead } from '../merkle/tree-head.ts'
import { growTree, type KnownTree } from './grow.ts'
import { openHeadStore } from './head-store.ts'
import { keepHead, keysOfShard, type Origin, originOf } from './origin.ts'
import { publishHead, readPublished } from './published.ts'
import { readTreeSizes } from './tiles.ts'

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

/** Another instance has signed a tree that the database doesn't hold. */
export class TreesDiverged extends Error {
  override name = 'TreesDiverged'

  constructor(shard: number, size: number) {
    super(
      `another instance has signed a tree of ${size} events of shard ${shard}, and the tree here ` +
        'is another one: the database was replaced or edited, and no tree head of this shard ' +
        'will be signed here. A restart says more.',
    )
  }
}

/**
 * `refusal`: why nothing is signed any more. It stays so until a start has looked at the database:
 * one that came back as it was, or has grown since, is no reason to trust it.
 */
type Tree = KnownTree & {
  head: SignedTreeHead
  keys: SigningKey[]
  refusal: TreeChanged | TreesDiverged | null
}

/**
 * The signed tree head of each shard. A newer one is made of the older tree and the leaves that
 * came since, so that it is consistent with it whatever happened to the database; it is on disk
 * before anybody sees it. A process that was killed in between has signed one that nobody saw.
 *
 * Of several instances with the same keys one signs a shard's heads and publishes them in the
 * database, and the others adopt them: once they have made the same tree of their own older one.
 */
export class TreeHeads {
  readonly #waitList = new WaitList<{ shard: number; size: number }>()

  private constructor(
    private readonly sql: Sql,
    private readonly origin: Origin,
    private readonly trees: Tree[],
  ) {}

  /**
   * Opens the trees where they were left; a shard that has no head yet gets that of an empty tree.
   * Throws LogForked or UserError (kept-head.ts).
   */
  static async open(sql: Sql, shards: number, origin: Origin): Promise<TreeHeads> {
    const trees: Tree[] = []
    const published = await readPublished(sql, origin)
    for (let shard = 0; shard < shards; shard++) {
      const keys = keysOfShard(origin, shard)
      const kept = await openHeadStore(sql, origin, shard, published.get(shard) ?? null)
      const { frontier, lastLeaf } = kept ?? { frontier: new Frontier(), lastLeaf: null }
      const head = signHead(originOf(origin.name, shard), frontier, keys)
      // Signed anew: a key may have come or gone since.
      await keepFirst(origin, shard, head.note)
      trees.push({ head, frontier, lastLeaf, keys, refusal: null })
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

  /** True where somebody waits for a newer head. */
  get isAwaited(): boolean {
    return this.#waitList.size > 0
  }

  newest(shard: number): SignedTreeHead {
    return this.trees[shard]!.head
  }

  /**
   * Adopts the heads that others have published, and signs a newer one of each shard that has grown
   * and `signs`, in one bounded step a shard; says whether more is left. Gives what went wrong by
   * shard: TreeChanged, TreesDiverged, a full disk, the database unavailable. Such a shard keeps
   * the head it has.
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
    await keepHead(this.origin, shard, head.note)
    Object.assign(tree, { head, ...grown })
  }

  /** Shows a head that another instance has signed, once the tree of it is this one's, grown. */
  async #adopt(shard: number, tree: Tree, head: SignedTreeHead): Promise<void> {
    let grown: KnownTree = tree
    while (grown.frontier.size < head.size) {
      grown = await this.#grow(shard, tree, grown, head.size)
    }
    if (!equalHashes(grown.frontier.root(), head.root)) {
      tree.refusal = new TreesDiverged(shard, head.size)
      throw tree.refusal
    }
    await keepHead(this.origin, shard, head.note)
    Object.assign(tree, { head, frontier: grown.frontier, lastLeaf: grown.lastLeaf })
  }

  /** `known`, which is the tree or was made of it, a step further towards `size`. */
  async #grow(shard: number, tree: Tree, known: KnownTree, size: number): Promise<KnownTree> {
    if (tree.refusal !== null) throw tree.refusal
    // In one snapshot: a tree is never made of two databases, one of which took the other's place.
    const grown =
      size < known.frontier.size
        ? null
        : await inSnapshot(this.sql, (transaction) => growTree(transaction, shard, known, size))
    if (grown !== null) return grown
    tree.refusal = new TreeChanged(shard, tree.frontier.size)
    throw tree.refusal
  }

  /** The newest head as soon as it covers so many leaves; null where it doesn't in `ms`. */
  async covering(shard: number, size: number, ms: number): Promise<SignedTreeHead | null> {
    if (this.newest(shard).size < size) await this.#waitList.wait({ shard, size }, ms)
    const head = this.newest(shard)
    return head.size >= size ? head : null
  }
}

async function keepFirst(origin: Origin, shard: number, note: string): Promise<void> {
  try {
    await keepHead(origin, shard, note)
  } catch (error) {
    const { message } = error as Error
    throw new UserError(`The tree head of shard ${shard} can't be written: ${message}`)
  }
}

function signHead(origin: string, frontier: Frontier, keys: readonly SigningKey[]): SignedTreeHead {
  return signTreeHead({ origin, size: frontier.size, root: frontier.root() }, keys)
}
