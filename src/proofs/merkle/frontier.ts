import { EMPTY_ROOT, type Hash, hashNode } from './hash.ts'
import { joinSubtrees } from './tree.ts'

/**
 * A growing tree, of which only the roots of its complete subtrees are kept: some 53 hashes at
 * most. What is added follows from what was there, so a newer root is always consistent with an
 * older one.
 */
export class Frontier {
  readonly #peaks: Hash[]
  #size: number

  /** The peaks of a tree of `size` leaves, from left to right (`readPeaks`). */
  constructor(size = 0, peaks: readonly Hash[] = []) {
    this.#size = size
    this.#peaks = [...peaks]
  }

  get size(): number {
    return this.#size
  }

  /** Adds the next leaf, by its hash. */
  append(leafHash: Hash): void {
    this.appendSubtree(0, leafHash)
  }

  /** Adds the next 2^height leaves by their root; the size is a multiple of so many. */
  appendSubtree(height: number, root: Hash): void {
    let hash = root
    for (let n = this.#size / 2 ** height; n % 2 === 1; n = Math.floor(n / 2)) {
      hash = hashNode(this.#peaks.pop()!, hash)
    }
    this.#peaks.push(hash)
    this.#size += 2 ** height
  }

  root(): Hash {
    return this.#size === 0 ? EMPTY_ROOT : joinSubtrees(this.#peaks)
  }

  copy(): Frontier {
    return new Frontier(this.#size, this.#peaks)
  }
}

/** The root of a tree of these hashes. */
export function rootOfHashes(hashes: readonly Hash[]): Hash {
  const tree = new Frontier()
  for (const hash of hashes) tree.append(hash)
  return tree.root()
}
