import type { LineEvent } from '../events/event-line.ts'

/** What goes by the time of its event. */
type Timed = { event: LineEvent }

/** A shard's events on their way: those that were read, and how far they are taken. */
type Cursor<E extends Timed> = { shard: number; events: E[]; next: number }

/**
 * The events of several shards as one, in the order of their time; those of one time by shard. Each
 * source is in the order of its time, and all that is held of it is what it gives at once.
 */
export async function* mergeByTime<E extends Timed>(
  sources: AsyncGenerator<E[]>[],
): AsyncGenerator<E[]> {
  const heap = new CursorHeap<E>()
  const fill = async (shard: number) => {
    for (;;) {
      const read = await sources[shard]!.next()
      if (read.done) return
      if (read.value.length === 0) continue
      heap.push({ shard, events: read.value, next: 0 })
      return
    }
  }
  try {
    for (const shard of sources.keys()) await fill(shard)
    for (let taken = heap.take(); taken !== null; taken = heap.take()) {
      yield taken.events
      if (taken.used !== null) await fill(taken.used)
    }
  } finally {
    for (const source of sources) await source.return(undefined)
  }
}

/** Cursors, that with the oldest next event first: a binary heap. */
class CursorHeap<E extends Timed> {
  readonly #cursors: Cursor<E>[] = []

  push(cursor: Cursor<E>): void {
    let at = this.#cursors.push(cursor) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(this.#cursors[parent]!, cursor)) break
      this.#cursors[at] = this.#cursors[parent]!
      at = parent
    }
    this.#cursors[at] = cursor
  }

  /**
   * Takes the oldest events, until a cursor is used up: what it would have next may be older than
   * all the others have. Null where there is none.
   */
  take(): { events: E[]; used: number | null } | null {
    if (this.#cursors.length === 0) return null
    const events: E[] = []
    for (;;) {
      const cursor = this.#cursors[0]!
      events.push(cursor.events[cursor.next++]!)
      const isUsed = cursor.next === cursor.events.length
      const sinking = isUsed ? this.#cursors.pop()! : cursor
      if (this.#cursors.length > 0) this.#sink(sinking)
      if (isUsed) return { events, used: cursor.shard }
    }
  }

  /** Puts a cursor in the place of the first, and down from there as far as it belongs. */
  #sink(cursor: Cursor<E>): void {
    const cursors = this.#cursors
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= cursors.length) break
      if (child + 1 < cursors.length && isBefore(cursors[child + 1]!, cursors[child]!)) child++
      if (isBefore(cursor, cursors[child]!)) break
      cursors[at] = cursors[child]!
      at = child
    }
    cursors[at] = cursor
  }
}

function isBefore(a: Cursor<Timed>, b: Cursor<Timed>): boolean {
  const [first, second] = [timeOf(a), timeOf(b)]
  return first === second ? a.shard < b.shard : first < second
}

const timeOf = ({ events, next }: Cursor<Timed>) => events[next]!.event.recordedAt
