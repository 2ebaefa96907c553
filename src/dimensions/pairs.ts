/** Pairs for which there is room at first. */
const FIRST_PAIRS = 64

/** A pair of numbers below these limits is one number, which is exact. */
const MAX_SECOND = 2 ** 20
const MAX_FIRST = 2 ** 32

/**
 * Pairs of whole numbers, each with true or false: in one array, because Maps take three times as
 * long. A pair is its key in the array if it has true, and the negative key otherwise.
 */
export class Pairs {
  /** 0 where there is none; a pair is at its hash or behind it; half full at most. */
  #keys = new Float64Array(2 * FIRST_PAIRS)
  #count = 0
  /** Pairs that are too large, as text. */
  readonly #others = new Map<string, boolean>()

  /** Returns undefined if there is no such pair. */
  get(first: number, second: number): boolean | undefined {
    if (first >= MAX_FIRST || second >= MAX_SECOND) return this.#others.get(`${first} ${second}`)
    const keys = this.#keys
    const mask = keys.length - 1
    const key = keyOf(first, second)
    for (let at = hash(first, second) & mask; ; at = (at + 1) & mask) {
      const found = keys[at]!
      if (found === key) return true
      if (found === -key) return false
      if (found === 0) return undefined
    }
  }

  /**
   * True if all pairs from `start` to `end`, exclusive, have true: the second of pair i is
   * `numbers[of[i]]`, and `first` is the first of each, or of all. A loop for each takes a third of
   * the time of calls of `get`. No key of a first that is too large is in the array.
   */
  hasAll(
    first: readonly number[] | number,
    { numbers, of }: { numbers: readonly number[]; of: readonly number[] },
    start: number,
    end: number,
  ): boolean {
    const keys = this.#keys
    const mask = keys.length - 1
    if (typeof first === 'number') {
      for (let i = start; i < end; i++) {
        const second = numbers[of[i]!]!
        const isFound =
          second < MAX_SECOND && keys[hash(first, second) & mask] === keyOf(first, second)
        if (!isFound && this.get(first, second) !== true) return false
      }
      return true
    }
    for (let i = start; i < end; i++) {
      const second = numbers[of[i]!]!
      const one = first[i]!
      const isFound = second < MAX_SECOND && keys[hash(one, second) & mask] === keyOf(one, second)
      if (!isFound && this.get(one, second) !== true) return false
    }
    return true
  }

  set(first: number, second: number, value: boolean): void {
    if (first >= MAX_FIRST || second >= MAX_SECOND) {
      this.#others.set(`${first} ${second}`, value)
      return
    }
    if (2 * (this.#count + 1) > this.#keys.length) this.#grow()
    const key = keyOf(first, second)
    const at = this.#placeOf(first, second)
    if (this.#keys[at] === 0) this.#count++
    this.#keys[at] = value ? key : -key
  }

  #grow(): void {
    const old = this.#keys
    this.#keys = new Float64Array(2 * old.length)
    for (const found of old) {
      if (found === 0) continue
      const key = Math.abs(found) - 1
      const second = key % MAX_SECOND
      this.#keys[this.#placeOf((key - second) / MAX_SECOND, second)] = found
    }
  }

  /** Returns where the pair is, or where it has to be put. */
  #placeOf(first: number, second: number): number {
    const key = keyOf(first, second)
    const mask = this.#keys.length - 1
    let at = hash(first, second) & mask
    while (this.#keys[at] !== 0 && Math.abs(this.#keys[at]!) !== key) at = (at + 1) & mask
    return at
  }
}

const keyOf = (first: number, second: number) => first * MAX_SECOND + second + 1

function hash(first: number, second: number): number {
  const mixed = Math.imul((first | 0) ^ Math.imul(second, 0x9e3779b1), 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}
