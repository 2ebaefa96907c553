import { EMPTY_ROOT, type Hash, hashNode } from './hash.ts'
import { joinSubtrees } from './tree.ts'

/**
 * A growing tree that holds only the roots of its complete subtrees: at most 53 hashes. It can only
 * be appended to, so a newer root is always consistent with an older one.
 */
export class Frontier {
  readonly #peaks: Hash[]
  #size: number

  /**
   * `peaks` are the roots of the complete subtrees of `size` leaves, left to right (`readPeaks`).
   */
  constructor(size = 0, peaks: readonly Hash[] = []) {
    this.#size = size
    this.#peaks = [...peaks]
  }

  get size(): number {
    return this.#size
  }

  /** Appends the hash of the next leaf. */
  append(leafHash: Hash): void {
    this.appendSubtree(0, leafHash)
  }

  /** Appends the root of the next 2^height leaves. The size must be a multiple of 2^height. */
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

/** Returns the root of the tree whose leaf hashes these are. */
export function rootOfHashes(hashes: readonly Hash[]): Hash {
  const tree = new Frontier()
  for (const hash of hashes) tree.append(hash)
  return tree.root()
}
