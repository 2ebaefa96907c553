import { addExact, type Exact } from '../../events/exact.ts'

/** Exact sums of a few numbers by key, however large they become. */
export class ExactSums<Key extends number | string> {
  readonly #sums = new Map<Key, Exact[]>()

  /** Adds values to the sums of a key. */
  add(key: Key, values: readonly number[]): void {
    const sums = this.#sums.get(key)
    if (sums) for (const [i, value] of values.entries()) sums[i] = addExact(sums[i]!, value)
    else this.#sums.set(key, [...values])
  }

  get size(): number {
    return this.#sums.size
  }

  get(key: Key): readonly Exact[] | undefined {
    return this.#sums.get(key)
  }

  entries(): IterableIterator<[Key, readonly Exact[]]> {
    return this.#sums.entries()
  }

  /** Returns keys and sums in the order of `compareKeys`. */
  rows(): [Key, ...Exact[]][] {
    return [...this.#sums]
      .sort(([a], [b]) => compareKeys(a, b))
      .map(([key, sums]) => [key, ...sums])
  }
}

/** Orders ids as numbers and texts by their bytes in UTF-8. */
export function compareKeys(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [first, second] = [String(a), String(b)]
  if (first === second) return 0
  // UTF-16 sorts as UTF-8 does, unless there are surrogates: making bytes takes ten times as long.
  if (!SURROGATE.test(first) && !SURROGATE.test(second)) return first < second ? -1 : 1
  return Buffer.compare(Buffer.from(first), Buffer.from(second))
}

const SURROGATE = /[\ud800-\udfff]/

/** Sorts entries of a map in the order of `compareKeys`. */
export function sortByKey<Value>(
  map: ReadonlyMap<number | string, Value>,
): [number | string, Value][] {
  return [...map].sort(([a], [b]) => compareKeys(a, b))
}
