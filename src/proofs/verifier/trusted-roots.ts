import type { Frontier } from '../merkle/frontier.ts'
import { equalHashes, type Hash } from '../merkle/hash.ts'
import type { FindingKind, OnFinding } from './finding.ts'

/** A root that somebody has signed or kept: the walk comes by its size and compares. */
export type TrustedRoot = {
  size: number
  root: Hash
  /** `the head of a receipt` */
  whose: string
  /** Of the finding where the log has another root, or never comes to it. */
  kind: FindingKind
  at: string
}

/** The roots that one shard has to have at their sizes, and has to reach. */
export class TrustedRoots {
  #roots: TrustedRoot[] = []
  /** The smallest size among them: it is asked for at every event. */
  #next = Infinity

  constructor(private readonly report: OnFinding) {}

  add(root: TrustedRoot): void {
    this.#roots.push(root)
    this.#next = Math.min(this.#next, root.size)
  }

  /** The walk has come one further: what events and tiles make is compared with what is kept. */
  compare(events: Frontier, tiles: Frontier): void {
    if (events.size < this.#next) return
    const reached = this.#roots.filter(({ size }) => size === events.size)
    this.#roots = this.#roots.filter(({ size }) => size > events.size)
    this.#next = Math.min(...this.#roots.map(({ size }) => size))
    for (const { size, root, whose, kind, at } of reached) {
      const areTiles = equalHashes(tiles.root(), root)
      if (!equalHashes(events.root(), root)) {
        const why = areTiles ? 'its tiles do, so events were rewritten' : 'nor do its tiles'
        const message = `the first ${size} events don't make the root of ${whose}; ${why}`
        this.report({ kind, at, message })
      } else if (!areTiles) {
        const message = `its tiles don't make the root of ${whose}, though the events do`
        this.report({ kind: 'published', at, message })
      }
    }
  }

  /** The log has no more events: what covers more was signed of events that are gone. */
  end(size: number): void {
    for (const kept of this.#roots) {
      const message = `${kept.whose} covers ${kept.size} events, and the log has ${size} only`
      this.report({ kind: kept.kind === 'fork' ? 'rolled_back' : kept.kind, at: kept.at, message })
    }
    this.#roots = []
    this.#next = Infinity
  }
}
