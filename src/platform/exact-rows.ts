/** A number up to 2^53 - 1, a bigint above. */
type Exact = number | bigint

/** Cells of a row before its values: the two numbers that it is found by. */
const KEY_CELLS = 2

/** A value that was never added to. Zero is another value, as a sum can come back to it. */
export const UNTOUCHED = -0

/** Rows for which there is room at first. */
const FIRST_ROWS = 16

const MAX = Number.MAX_SAFE_INTEGER

type Column = readonly number[]

/** The row of each entry that is being added, or NO_ROW, and the two numbers to find it by. */
let rows = new Int32Array(256)
let firsts = new Float64Array(rows.length)
let seconds = new Int32Array(rows.length)
const NO_ROW = -1

/** No row is found by this number: the entry is left out. */
export const NO_KEY = -1

/**
 * Values to add: those of entry i begin at `(i - offset) * width`. They are UNTOUCHED instead of 0,
 * so that no addition begins with a comparison.
 */
export type Values = {
  values: Float64Array
  offset: number
  width: number
  /** True if an entry may have nothing to add. */
  hasZeros: boolean
}

/**
 * The places of values in a row, which has room for them (see `widen`): value k is added to value
 * `places[k]`. Values before `from` are not added.
 */
export type Places = {
  from: number
  places: Column
  /** Null for 0. */
  second: Seconds | null
}

/** The second number of each entry's row is `numbers[of[i]]`. */
type Seconds = { numbers: Column; of: Column }

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

  /**
   * Adds entries `start` to `end`, exclusive. `first` is the first number of each one's row, or of
   * all rows. An entry of only zeros leaves no row.
   */
  add(added: Values, to: Places, first: Column | number, start: number, end: number): void {
    if (first === NO_KEY) return
    const { second } = to
    if (typeof first === 'number' && second === null) {
      this.#addToOne(added, to, first, start, end)
      return
    }
    if (end - start > rows.length) makeRoom(end - start)
    if (typeof first === 'number') this.#lookUpOne(first, second!, start, end)
    else if (second === null) this.#lookUp(first, start, end)
    else this.#lookUpEach(first, second, start, end)
    this.#findRows(added, to.from, start, end)
    this.#addRows(added, to, start, end)
  }

  // A loop for each form of keys: one for all of them takes half as long again. They only read the
  // table, and the next loop only the rows' keys: what is not in the processor's caches is then
  // loaded for several entries at a time.

  #lookUp(keys: Column, start: number, end: number): void {
    const table = this.#table
    const mask = table.length - 1
    for (let i = start, j = 0; i < end; i++, j++) {
      const first = keys[i]!
      firsts[j] = first
      seconds[j] = 0
      rows[j] = table[hash(first, 0) & mask]!
    }
  }

  #lookUpOne(first: number, { numbers, of }: Seconds, start: number, end: number): void {
    const table = this.#table
    const mask = table.length - 1
    for (let i = start, j = 0; i < end; i++, j++) {
      const second = numbers[of[i]!]!
      firsts[j] = first
      seconds[j] = second
      rows[j] = table[hash(first, second) & mask]!
    }
  }

  #lookUpEach(keys: Column, { numbers, of }: Seconds, start: number, end: number): void {
    const table = this.#table
    const mask = table.length - 1
    for (let i = start, j = 0; i < end; i++, j++) {
      const first = keys[i]!
      const second = numbers[of[i]!]!
      firsts[j] = first
      seconds[j] = second
      rows[j] = table[hash(first, second) & mask]!
    }
  }

  /** Replaces the number that was looked up for each entry by where its row's values begin. */
  #findRows(added: Values, from: number, start: number, end: number): void {
    const width = this.#width
    const { hasZeros } = added
    for (let i = start, j = 0; i < end; i++, j++) {
      const first = firsts[j]!
      const second = seconds[j]!
      if (first === NO_KEY || (hasZeros && isZero(added, from, i))) {
        rows[j] = NO_ROW
        continue
      }
      const row = (rows[j]! - 1) * width
      const cells = this.#cells
      const isFound = row >= 0 && cells[row] === first && cells[row + 1] === second
      rows[j] = isFound ? row + KEY_CELLS : this.#rowOf(first, second)
    }
  }

  /** Adds the values of each entry to the row at `rows[i - start]`. */
  #addRows(added: Values, { from, places }: Places, start: number, end: number): void {
    const { values, offset, width } = added
    const cells = this.#cells
    const found = rows
    for (let i = start; i < end; i++) {
      const row = found[i - start]!
      if (row < 0) continue
      const at = (i - offset) * width
      for (let k = from; k < width; k++) {
        const cell = row + places[k]!
        const sum = cells[cell]! + values[at + k]!
        if (sum <= MAX && sum >= -MAX) cells[cell] = sum
        else this.#carry(cell, values[at + k]!)
      }
    }
  }

  /** Adds all entries to one row. */
  #addToOne(added: Values, to: Places, key: number, start: number, end: number): void {
    const { values, offset, width } = added
    let row = NO_ROW
    for (let k = to.from; k < width; k++) {
      let total = UNTOUCHED
      for (let i = start; i < end; i++) {
        const value = values[(i - offset) * width + k]!
        const sum = total + value
        if (sum <= MAX && sum >= -MAX) total = sum
        else {
          if (row === NO_ROW) row = this.#rowOf(key, 0)
          this.#addTo(row + to.places[k]!, total)
          total = value
        }
      }
      if (Object.is(total, UNTOUCHED)) continue
      if (row === NO_ROW) row = this.#rowOf(key, 0)
      this.#addTo(row + to.places[k]!, total)
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
      if (number === 0) return this.#addRow(first, second, at)
      const row = (number - 1) * width
      if (cells[row] === first && cells[row + 1] === second) return row + KEY_CELLS
    }
  }

  /** Adds a row, whose number is put at this place of the table. */
  #addRow(first: number, second: number, at: number): number {
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
    if (2 * this.count <= this.#table.length) this.#table[at] = this.count
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

function makeRoom(entries: number): void {
  rows = new Int32Array(2 * entries)
  firsts = new Float64Array(rows.length)
  seconds = new Int32Array(rows.length)
}

/** True if entry i has nothing to add. */
function isZero({ values, offset, width }: Values, from: number, i: number): boolean {
  const at = (i - offset) * width
  for (let k = from; k < width; k++) if (values[at + k] !== 0) return false
  return true
}

function hash(first: number, second: number): number {
  const mixed = Math.imul((first | 0) ^ Math.imul(second | 0, 0x9e3779b1), 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}
