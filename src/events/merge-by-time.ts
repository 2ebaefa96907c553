/** Something that was recorded at a time: RFC 3339 with microseconds, which sorts as text. */
type Timed = { recordedAt: string }

/**
 * The items of one shard, in the order of its log, or in reverse order when merged by `isNewer`.
 */
export type TimedSource<Item extends Timed> = {
  /**
   * Returns the next item; `read` if the log must be read for it, `none` if there is none yet.
   */
  peek(): Item | 'read' | 'none'
  /** Takes the item that `peek` returned. */
  take(): void
}

/**
 * True if `a` comes before `b`. The shard of `a` has the higher number, so this also decides the
 * order at equal times.
 */
type ComesBefore<Item> = (a: Item, b: Item) => boolean

/** The order of the log: at equal times the lower shard comes first. */
export const isOlder = (a: Timed, b: Timed) => a.recordedAt < b.recordedAt
/** The reverse order: at equal times the higher shard comes first. */
export const isNewer = (a: Timed, b: Timed) => a.recordedAt >= b.recordedAt

/**
 * Takes the first of several shards' next items. Returns `read` if a shard has to be read first, as
 * its next item may come before the others; `none` if no shard has an item.
 */
export function takeNextByTime<Item extends Timed>(
  sources: readonly TimedSource<Item>[],
  comesBefore: ComesBefore<Item> = isOlder,
): Item | 'read' | 'none' {
  let first: Item | undefined
  let from: TimedSource<Item> | undefined
  for (const source of sources) {
    const next = source.peek()
    if (next === 'read') return 'read'
    if (next === 'none' || (first !== undefined && !comesBefore(next, first))) continue
    first = next
    from = source
  }
  from?.take()
  return first ?? 'none'
}

/**
 * Merges the items read from several shards and returns the first `limit`. Returns fewer if the
 * items of one shard run out although its log has more (`ends` is false).
 */
export function mergeByTime<Item extends Timed>(
  read: readonly { items: readonly Item[]; ends: boolean }[],
  limit: number,
  comesBefore: ComesBefore<Item> = isOlder,
): Item[] {
  const sources = read.map(({ items, ends }): TimedSource<Item> => {
    let next = 0
    return { peek: () => items[next] ?? (ends ? 'none' : 'read'), take: () => void next++ }
  })
  const merged: Item[] = []
  while (merged.length < limit) {
    const item = takeNextByTime(sources, comesBefore)
    if (typeof item === 'string') break
    merged.push(item)
  }
  return merged
}
