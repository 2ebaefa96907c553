import type { Sequence } from '../events/sequence.ts'
import { arrive, beginAt, type Epoch } from './epoch.ts'

/** Epochs that are kept of a source: those that were heard of last. */
export const MAX_EPOCHS = 64

/** An epoch of a source, and its newest flush. */
export type KnownEpoch = Epoch & { lastFlush: string; isEnded: boolean }

/** The epochs of one source, at most MAX_EPOCHS, and what changes of them. */
export class Epochs {
  readonly changed = new Set<string>()
  readonly dropped = new Set<string>()

  /** `hasDropped`: the source had more before. */
  constructor(
    readonly known: Map<string, KnownEpoch>,
    public hasDropped: boolean,
  ) {}

  /** Adds the sequence of a flush that was recorded at `at`. */
  add(sequence: Sequence, at: string): void {
    const { epoch, first, isEnd } = sequence
    // One that was dropped would miss everything that arrived before.
    const before = this.known.get(epoch) ?? beginAt(this.hasDropped ? first : 0)
    const { lastFlush = at, isEnded = false } = before as Partial<KnownEpoch>
    const isNewest = at >= lastFlush
    this.known.set(epoch, {
      ...arrive(before, sequence),
      lastFlush: isNewest ? at : lastFlush,
      isEnded: isNewest ? isEnd : isEnded,
    })
    this.changed.add(epoch)
    this.dropped.delete(epoch)
    if (this.known.size > MAX_EPOCHS) this.#drop()
  }

  /** Drops the epoch that was not heard of longest. */
  #drop(): void {
    let [oldest, { lastFlush: since }] = this.known.entries().next().value!
    for (const [epoch, { lastFlush }] of this.known) {
      if (lastFlush > since || (lastFlush === since && epoch > oldest)) continue
      oldest = epoch
      since = lastFlush
    }
    this.known.delete(oldest)
    this.changed.delete(oldest)
    this.dropped.add(oldest)
    this.hasDropped = true
  }
}
