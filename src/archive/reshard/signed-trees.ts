import { Frontier } from '../../proofs/merkle/frontier.ts'
import { equalHashes } from '../../proofs/merkle/hash.ts'
import { parseVerifierKey } from '../../proofs/merkle/key.ts'
import { openTreeHead, type SignedTreeHead } from '../../proofs/merkle/tree-head.ts'
import type { CheckedEvent } from '../check.ts'
import type { SignedHeads } from '../transparency.ts'

/**
 * The trees of an archive's shards, made anew from its events and held against the heads that are
 * signed in it. What is wrong goes to `refuse`, as a sentence.
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

  /** Takes in the next event of its shard. */
  append({ event, leafHash }: CheckedEvent): void {
    const of = this.#trees.get(event.shard)
    // Behind the head nothing is signed.
    if (of === undefined || of.tree.size === of.head.size) return
    of.tree.append(leafHash)
    this.#compare(event.shard)
  }

  /** There are no more events: a head that covers more was signed of some that were lost. */
  end(): void {
    for (const [shard, { head, tree }] of this.#trees) {
      if (tree.size === head.size) continue
      this.refuse(
        `The tree head of shard ${shard} covers ${head.size} events, and there are ${tree.size}. ` +
          'Where the others are lost for good, `tallybook key new-origin` says so in the log; ' +
          'start the service once with that, and export again',
      )
    }
  }

  #compare(shard: number): void {
    const { head, tree } = this.#trees.get(shard)!
    if (tree.size < head.size || equalHashes(tree.root(), head.root)) return
    this.refuse(`The first ${head.size} events of shard ${shard} are not those of its tree head`)
  }
}
