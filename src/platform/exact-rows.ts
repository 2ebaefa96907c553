/** A number up to 2^53 - 1, a bigint above. */
type Exact = number | bigint

/** Cells of a row before its values: the two numbers that it is found by. */
const KEY_CELLS = 2

/** A value that was never added to. Zero is another value, as a sum can come back to it. */
const UNTOUCHED = -0

/** Rows for which there is room at first. */
const FIRST_ROWS = 16

const MAX = Number.MAX_SAFE_INTEGER

type Column = readonly number[]

/** The row of each entry that is being added, or NO_ROW. */
let rows = new Int32Array(256)
const NO_ROW = -1

/** No row is found by this number: the entry is left out. */
export const NO_KEY = -1

/**
 * Columns to add: entry i of column k to value `places[k]` of a row. The rows have room for it
 * (see `widen`).
 */
export type Columns = {
  columns: readonly Column[]
  places: Column
  /** The second number of each entry's row; null for 0. */
  second: Column | null
}

/** Entries `start` to `end`, exclusive, and the first number of each one's row; or of all rows. */
type Range = { first: Column | number; start: number; end: number }

/**
 * Rows of exact integers, found by two numbers. Beyond 2^53 - 1 a sum continues as a bigint. All
 * rows are in one array: an object for each, in a Map, takes five times as long, mostly to load
 * what is not in the processor's caches.
 */
export class ExactRows {
  count = 0
  /** The number of a row, from 1, at the hash of its key or behind it; half full at most. */
  #table = new Int32Array(2 * FIRST_ROWS)
  #cells = new Float64Array(0)
  #width = KEY_CELLS
  /** By cell: what its sum has besides. */
  #carried: Map<number, bigint> | null = null

  /** Makes room for so many values in each row. */
  widen(values: number): void {
    const width = KEY_CELLS + values
    const old = this.#width
    if (width <= old) return
    const cells = new Float64Array((this.#cells.length / old) * width).fill(UNTOUCHED)
    for (let row = 0; row < this.count; row++) {
      cells.set(this.#cells.subarray(row * old, (row + 1) * old), row * width)
    }
    const carried = [...(this.#carried ?? [])]
    this.#carried?.clear()
    for (const [cell, value] of carried) {
      this.#carried!.set(Math.floor(cell / old) * width + (cell % old), value)
    }
    this.#cells = cells
    this.#width = width
  }

  /** Adds entries. One of only zeros leaves no row. */
  add({ columns, places, second }: Columns, range: Range): void {
    const { first, start, end } = range
    if (end - start > rows.length) rows = new Int32Array(2 * (end - start))
    if (first === NO_KEY) return
    if (typeof first === 'number' && second === null) {
      this.#addToOne(columns, places, range)
      return
    }
    if (second === null) this.#findRows(columns, range)
    else if (typeof first === 'number') this.#findRowsOfOne(columns, second, range)
    else this.#findRowsOfEach(columns, second, range)
    // Column by column, which takes half the time of entry by entry.
    for (let k = 0; k < columns.length; k++) this.#addColumn(columns[k]!, places[k]!, start, end)
  }

  // A loop for each form of keys: one for all of them takes half as long again.

  #findRows(columns: readonly Column[], { first, start, end }: Range): void {
    const keys = first as Column
    for (let i = start; i < end; i++) {
      const isLeftOut = keys[i] === NO_KEY || isZero(columns, i)
      rows[i - start] = isLeftOut ? NO_ROW : this.#rowOf(keys[i]!, 0)
    }
  }

  #findRowsOfOne(columns: readonly Column[], second: Column, { first, start, end }: Range): void {
    for (let i = start; i < end; i++) {
      rows[i - start] = isZero(columns, i) ? NO_ROW : this.#rowOf(first as number, second[i]!)
    }
  }

  #findRowsOfEach(columns: readonly Column[], second: Column, { first, start, end }: Range): void {
    const keys = first as Column
    for (let i = start; i < end; i++) {
      const isLeftOut = keys[i] === NO_KEY || isZero(columns, i)
      rows[i - start] = isLeftOut ? NO_ROW : this.#rowOf(keys[i]!, second[i]!)
    }
  }

  /** Adds entry i of a column to a value of the row at `rows[i - start]`. */
  #addColumn(column: Column, place: number, start: number, end: number): void {
    const cells = this.#cells
    const to = rows
    for (let i = start; i < end; i++) {
      const row = to[i - start]!
      const value = column[i]!
      if (row < 0 || value === 0) continue
      const sum = cells[row + place]! + value
      if (sum <= MAX && sum >= -MAX) cells[row + place] = sum
      else this.#carry(row + place, value)
    }
  }

  /** Adds all entries to one row. */
  #addToOne(columns: readonly Column[], places: Column, { first, start, end }: Range): void {
    for (let k = 0; k < columns.length; k++) {
      const column = columns[k]!
      let total = 0
      let isCounted = false
      for (let i = start; i < end; i++) {
        const value = column[i]!
        if (value === 0) continue
        isCounted = true
        const sum = total + value
        if (sum <= MAX && sum >= -MAX) total = sum
        else {
          this.#addTo(this.#rowOf(first as number, 0) + places[k]!, total)
          total = value
        }
      }
      if (isCounted) this.#addTo(this.#rowOf(first as number, 0) + places[k]!, total)
    }
  }

  #addTo(cell: number, value: number): void {
    const sum = this.#cells[cell]! + value
    if (sum <= MAX && sum >= -MAX) this.#cells[cell] = sum
    else this.#carry(cell, value)
  }

  /** Returns the two numbers of a row; rows are numbered from 0, in the order of their addition. */
  keyOf(row: number): { first: number; second: number } {
    const at = row * this.#width
    return { first: toInteger(this.#cells[at]!), second: toInteger(this.#cells[at + 1]!) }
  }

  /** Returns a value of a row; undefined if nothing was added to it. */
  valueOf(row: number, place: number): Exact | undefined {
    if (KEY_CELLS + place >= this.#width) return undefined
    const cell = row * this.#width + KEY_CELLS + place
    const value = this.#cells[cell]!
    if (Object.is(value, UNTOUCHED)) return undefined
    const carried = this.#carried?.get(cell)
    return carried === undefined ? toInteger(value) : carried + BigInt(value)
  }

  #carry(cell: number, value: number): void {
    this.#carried ??= new Map()
    this.#carried.set(cell, (this.#carried.get(cell) ?? 0n) + BigInt(this.#cells[cell]!))
    this.#cells[cell] = value
  }

  /** Returns where the values of a row begin, and adds the row if there is none. */
  #rowOf(first: number, second: number): number {
    const table = this.#table
    const cells = this.#cells
    const width = this.#width
    const mask = table.length - 1
    for (let at = hash(first, second) & mask; ; at = (at + 1) & mask) {
      const number = table[at]!
      if (number === 0) return this.#addRow(first, second)
      const row = (number - 1) * width
      if (cells[row] === first && cells[row + 1] === second) return row + KEY_CELLS
    }
  }

  #addRow(first: number, second: number): number {
    const row = this.count * this.#width
    if (row === this.#cells.length) {
      const length = Math.max(FIRST_ROWS * this.#width, 2 * row)
      const cells = new Float64Array(length).fill(UNTOUCHED, row)
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
    return row + KEY_CELLS
  }

  #enter(number: number): void {
    const row = (number - 1) * this.#width
    const mask = this.#table.length - 1
    let at = hash(this.#cells[row]!, this.#cells[row + 1]!) & mask
    while (this.#table[at] !== 0) at = (at + 1) & mask
    this.#table[at] = number
  }
}

/** Returns the same number, in the form in which an integer is formatted five times as fast. */
const toInteger = (value: number): number => ((value | 0) === value ? value | 0 : value)

function isZero(columns: readonly Column[], i: number): boolean {
  for (let k = 0; k < columns.length; k++) if (columns[k]![i] !== 0) return false
  return true
}

function hash(first: number, second: number): number {
  const mixed = Math.imul((first | 0) ^ Math.imul(second | 0, 0x9e3779b1), 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}
