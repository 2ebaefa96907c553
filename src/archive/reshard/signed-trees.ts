import { Frontier } from '../../proofs/merkle/frontier.ts'
import { equalHashes } from '../../proofs/merkle/hash.ts'
import { parseVerifierKey } from '../../proofs/merkle/key.ts'
import { openTreeHead, type SignedTreeHead } from '../../proofs/merkle/tree-head.ts'
import type { CheckedEvent } from '../check.ts'
import type { SignedHeads } from '../transparency.ts'

/**
 * Recomputes the trees of an archive's shards from its events, and compares them with the signed
 * heads in it. `refuse` is called with a sentence for the first mismatch.
 */
export class SignedTrees {
  readonly #trees = new Map<number, { head: SignedTreeHead; tree: Frontier }>()

  constructor(
    { keys, heads }: SignedHeads,
    private readonly refuse: (message: string) => never,
  ) {
    const known = keys.map(parseVerifierKey).filter((key) => key !== null)
    for (const [shard, note] of heads) {
      const opened = openTreeHead(note, known)
      if (opened.kind === 'refused') refuse(`The tree head of shard ${shard}: ${opened.reason}`)
      const tree = new Frontier()
      this.#trees.set(shard, { head: opened, tree })
      this.#compare(shard)
    }
  }

  /** Adds the next event of its shard. */
  append({ event, leafHash }: CheckedEvent): void {
    const signed = this.#trees.get(event.shard)
    // Events after the head are not signed.
    if (signed === undefined || signed.tree.size === signed.head.size) return
    signed.tree.append(leafHash)
    this.#compare(event.shard)
  }

  /**
   * Refuses a head that covers more events than there are: it was signed with events that were
   * lost.
   */
  end(): void {
    for (const [shard, { head, tree }] of this.#trees) {
      if (tree.size === head.size) continue
      this.refuse(
        `The tree head of shard ${shard} covers ${head.size} events, but there are only ` +
          `${tree.size}. If the others are lost for good, run \`tallybook key new-origin\`, ` +
          'start the service once, and export again',
      )
    }
  }

  #compare(shard: number): void {
    const { head, tree } = this.#trees.get(shard)!
    if (tree.size < head.size || equalHashes(tree.root(), head.root)) return
    this.refuse(`The first ${head.size} events of shard ${shard} don't match its tree head`)
  }
}
