import type { Frontier } from '../merkle/frontier.ts'
import { equalHashes, type Hash } from '../merkle/hash.ts'
import type { FindingKind, OnFinding } from './finding.ts'

/**
 * A root that was signed or previously verified. The walk compares it when it reaches that size.
 */
export type TrustedRoot = {
  size: number
  root: Hash
  /** The owner of the root in messages: `the head of a receipt`. */
  whose: string
  /** The kind of the finding if the log has another root, or never reaches its size. */
  kind: FindingKind
  at: string
}

/** The roots that one shard must have at their sizes. */
export class TrustedRoots {
  #roots: TrustedRoot[] = []
  /** The smallest size among them, checked after every event. */
  #next = Infinity

  constructor(private readonly report: OnFinding) {}

  /** Adds a root that the walk has not passed yet. */
  add(root: TrustedRoot): void {
    this.#roots.push(root)
    this.#next = Math.min(this.#next, root.size)
  }

  /**
   * Called after each event: compares the roots of events and tiles with any trusted root of this
   * size.
   */
  compare(events: Frontier, tiles: Frontier): void {
    if (events.size < this.#next) return
    const reached = this.#roots.filter(({ size }) => size === events.size)
    this.#roots = this.#roots.filter(({ size }) => size > events.size)
    this.#next = Math.min(...this.#roots.map(({ size }) => size))
    for (const { size, root, whose, kind, at } of reached) {
      const areTiles = equalHashes(tiles.root(), root)
      if (!equalHashes(events.root(), root)) {
        const why = areTiles ? 'the tiles do, so events were rewritten' : 'nor do the tiles'
        const message = `the first ${size} events don't have the root of ${whose}; ${why}`
        this.report({ kind, at, message })
      } else if (!areTiles) {
        const message = `the tiles don't have the root of ${whose}, although the events do`
        this.report({ kind: 'published', at, message })
      }
    }
  }

  /** Reports roots that the log never reached: they were signed with events that are gone. */
  end(size: number): void {
    for (const root of this.#roots) {
      const message = `${root.whose} covers ${root.size} events, but the log has only ${size}`
      this.report({ kind: root.kind === 'fork' ? 'rolled_back' : root.kind, at: root.at, message })
    }
    this.#roots = []
    this.#next = Infinity
  }
}
