/** Cells of a row before its values: the two numbers that it is found by. */
const KEY_CELLS = 2

/** A value that was never added to. Zero is another value, as a sum can come back to it. */
const UNTOUCHED = -0

/** Rows for which there is room at first. */
const FIRST_ROWS = 32

/** What is added to rows: entry i of a column to the row at `rows[i - start]`; -1 for none. */
type Range = { rows: readonly number[]; start: number; end: number }

/**
 * Rows of integers, found by two numbers. Sums are never rounded: beyond 2^53 - 1 they continue as
 * bigints. All rows are in one array, because each object on the way to a sum is a miss of the
 * processor's caches: under load, Maps with an object for each row take half as long again.
 *
 * A row's place, as `rowOf` returns it, is valid until `widen` is called.
 */
export class ExactRows {
  /** How many rows there are. */
  count = 0
  /** The number of a row, from 1, at the hash of its key or behind it; half full at most. */
  #table = new Int32Array(2 * FIRST_ROWS)
  #cells = new Float64Array(0)
  #width = KEY_CELLS
  /** By cell: what its sum has besides. */
  readonly #rest = new Map<number, bigint>()

  /** Makes room for so many values in each row. */
  widen(values: number): void {
    const width = KEY_CELLS + values
    const old = this.#width
    if (width <= old) return
    const cells = new Float64Array((this.#cells.length / old) * width).fill(UNTOUCHED)
    for (let row = 0; row < this.count; row++) {
      cells.set(this.#cells.subarray(row * old, (row + 1) * old), row * width)
    }
    const rest = [...this.#rest]
    this.#rest.clear()
    for (const [cell, value] of rest) {
      this.#rest.set(Math.floor(cell / old) * width + (cell % old), value)
    }
    this.#cells = cells
    this.#width = width
  }

  /** Returns the place of a row, and adds the row if there is none. */
  rowOf(first: number, second: number): number {
    const table = this.#table
    const cells = this.#cells
    const mask = table.length - 1
    for (let at = hash(first, second) & mask; ; at = (at + 1) & mask) {
      const number = table[at]!
      if (number === 0) return this.#addRow(first, second)
      const row = (number - 1) * this.#width
      if (cells[row] === first && cells[row + 1] === second) return row
    }
  }

  /** Adds a column of safe integers to value `k` of rows. */
  addColumn(k: number, column: readonly number[], { rows, start, end }: Range): void {
    const cells = this.#cells
    for (let i = start; i < end; i++) {
      const row = rows[i - start]!
      const value = column[i]!
      if (row < 0 || value === 0) continue
      const cell = row + KEY_CELLS + k
      const sum = cells[cell]! + value
      if (sum >= Number.MIN_SAFE_INTEGER && sum <= Number.MAX_SAFE_INTEGER) {
        cells[cell] = sum
      } else {
        this.#rest.set(cell, (this.#rest.get(cell) ?? 0n) + BigInt(cells[cell]!))
        cells[cell] = value
      }
    }
  }

  /**
   * Returns the rows in the order in which they were added, each with its values up to the last one
   * that was added to.
   */
  *entries(): Generator<{ first: number; second: number; values: (number | bigint)[] }> {
    for (let row = 0; row < this.count * this.#width; row += this.#width) {
      const from = row + KEY_CELLS
      const cells = this.#cells.subarray(from, row + this.#width)
      const last = cells.findLastIndex((value) => !Object.is(value, UNTOUCHED))
      const values = Array.from(cells.subarray(0, last + 1), (value, k) => {
        const rest = this.#rest.get(from + k)
        return rest === undefined ? value + 0 : rest + BigInt(value)
      })
      yield { first: this.#cells[row]!, second: this.#cells[row + 1]!, values }
    }
  }

  #addRow(first: number, second: number): number {
    const row = this.count * this.#width
    if (row === this.#cells.length) {
      const length = Math.max(FIRST_ROWS * this.#width, 2 * row)
      const cells = new Float64Array(length).fill(UNTOUCHED)
      cells.set(this.#cells)
      this.#cells = cells
    }
    this.#cells[row] = first
    this.#cells[row + 1] = second
    this.count++
    if (2 * this.count <= this.#table.length) this.#enter(this.count)
    else {
      this.#table = new Int32Array(2 * this.#table.length)
      for (let number = 1; number <= this.count; number++) this.#enter(number)
    }
    return row
  }

  #enter(number: number): void {
    const row = (number - 1) * this.#width
    const mask = this.#table.length - 1
    let at = hash(this.#cells[row]!, this.#cells[row + 1]!) & mask
    while (this.#table[at] !== 0) at = (at + 1) & mask
    this.#table[at] = number
  }
}

function hash(first: number, second: number): number {
  const mixed = Math.imul((first | 0) ^ Math.imul(second | 0, 0x9e3779b1), 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}
