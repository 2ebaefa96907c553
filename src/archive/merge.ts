import type { LineEvent } from '../events/event-line.ts'

/** An item that is ordered by the time of its event. */
type Timed = { event: LineEvent }

/** Events that were read from a shard, and the index of the next one to yield. */
type Cursor<E extends Timed> = { shard: number; events: E[]; next: number }

/**
 * Merges the events of several shards in the order of their time, and by shard if times are equal.
 * Each source must be in that order. Holds only the last batch of each source. A heap, unlike
 * events/merge-by-time.ts: an archive may have 1,024 shards, and all its events come through here.
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
      if (taken.exhausted !== null) await fill(taken.exhausted)
    }
  } finally {
    for (const source of sources) await source.return(undefined)
  }
}

/** A binary heap of cursors, with the oldest next event first. */
class CursorHeap<E extends Timed> {
  readonly #cursors: Cursor<E>[] = []

  /** Adds a cursor that has a next event. */
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
   * Takes the oldest events until a cursor is exhausted: its shard's next event may be older than
   * those of all others. Returns null if there are no events.
   */
  take(): { events: E[]; exhausted: number | null } | null {
    if (this.#cursors.length === 0) return null
    const events: E[] = []
    for (;;) {
      const cursor = this.#cursors[0]!
      events.push(cursor.events[cursor.next++]!)
      const isUsed = cursor.next === cursor.events.length
      const sinking = isUsed ? this.#cursors.pop()! : cursor
      if (this.#cursors.length > 0) this.#sink(sinking)
      if (isUsed) return { events, exhausted: cursor.shard }
    }
  }

  /** Puts a cursor at the root of the heap, and moves it down to its place. */
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
