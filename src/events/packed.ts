import { PayloadError } from './columns.ts'

/**
 * A column of whole numbers from 0 to 2^53 - 1, packed: the width of a value in bits, that of the
 * largest, and all values one after the other, most significant bit first, in base64. The last byte
 * is filled with zeros. A column of zeros has width 0.
 *
 *     [3,1,2] is [2,"2A=="]: the bits 11 01 10 and two zeros
 *
 * Decimal digits would take twice the space, and nothing compresses payloads.
 */
export type Packed = [bits: number, base64: string]

const MAX_BITS = 53

/** More than the largest body has entries: a column of zeros takes no space, however long it is. */
const MAX_LENGTH = 2 ** 24

/** Bits that are written or read in one step: with 7 left over they fit into 32. */
const STEP_BITS = 24

/** `bits` is `widthOf(values)`. */
export function pack(values: readonly number[], bits = widthOf(values)): Packed {
  const bytes = Buffer.allocUnsafe(Math.ceil((values.length * bits) / 8))
  if (bits <= STEP_BITS) writeNarrow(bytes, values, bits)
  else writeWide(bytes, values, bits)
  return [bits, bytes.toString('base64')]
}

/** Writes values that take one step, as almost all do: about half of the time of `writeWide`. */
function writeNarrow(bytes: Buffer, values: readonly number[], bits: number): void {
  let at = 0
  let left = 0
  let leftBits = 0
  for (let i = 0; i < values.length; i++) {
    // Bits above these are written already, and a byte drops them.
    left = (left << bits) | values[i]!
    leftBits += bits
    while (leftBits >= 8) {
      leftBits -= 8
      bytes[at++] = left >>> leftBits
    }
  }
  if (leftBits > 0) bytes[at] = left << (8 - leftBits)
}

function writeWide(bytes: Buffer, values: readonly number[], bits: number): void {
  let at = 0
  let left = 0
  let leftBits = 0
  for (let i = 0; i < values.length; i++) {
    for (let rest = bits; rest > 0; ) {
      const step = Math.min(rest, STEP_BITS)
      rest -= step
      left = (left << step) | bitsOf(values[i]!, rest, step)
      leftBits += step
      while (leftBits >= 8) {
        leftBits -= 8
        bytes[at++] = left >>> leftBits
      }
    }
  }
  if (leftBits > 0) bytes[at] = left << (8 - leftBits)
}

/** Reads `length` values. Throws PayloadError unless `pack` returns this for them. */
export function unpack(column: unknown, length: number, name: string): number[] {
  if (!isPacked(column)) throw new PayloadError(`no packed column ${name}`)
  const [bits, base64] = column
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length !== Math.ceil((length * bits) / 8) || length > MAX_LENGTH) {
    throw new PayloadError(`${name} differs in length`)
  }
  const values = new Array<number>(length).fill(0)
  let at = 0
  let left = 0
  let leftBits = 0
  for (let i = 0; i < length; i++) {
    let value = 0
    for (let rest = bits; rest > 0; ) {
      const step = Math.min(rest, STEP_BITS)
      rest -= step
      while (leftBits < step) {
        left = (left << 8) | bytes[at++]!
        leftBits += 8
      }
      leftBits -= step
      value = value * 2 ** step + (left >>> leftBits)
      left &= (1 << leftBits) - 1
    }
    values[i] = value
  }
  // Every column has one form: otherwise a payload could hide something.
  if (widthOf(values) !== bits || left !== 0 || bytes.toString('base64') !== base64) {
    throw new PayloadError(`${name} is not packed as it should be`)
  }
  return values
}

/** Returns false if no value of a packed column is this one, which takes a tenth of `unpack`. */
export function mayHave(bits: number, base64: string, value: number): boolean {
  if (bits > STEP_BITS) return true
  const mask = 2 ** bits - 1
  if (value > mask) return false
  const bytes = Buffer.from(base64, 'base64')
  let left = 0
  let leftBits = 0
  for (let at = 0; at < bytes.length; at++) {
    left = (left << 8) | bytes[at]!
    leftBits += 8
    while (bits > 0 && leftBits >= bits) {
      leftBits -= bits
      if (((left >>> leftBits) & mask) === value) return true
    }
  }
  return false
}

/** Returns the `step` bits of a value above its lowest `rest`. */
function bitsOf(value: number, rest: number, step: number): number {
  if (rest + step <= 31) return (value >>> rest) & ((1 << step) - 1)
  return Math.floor(value / 2 ** rest) % 2 ** step
}

/** Returns the bits of the largest value. */
export function widthOf(values: readonly number[]): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) if (values[i]! > largest) largest = values[i]!
  const high = Math.floor(largest / 2 ** 32)
  return high === 0 ? 32 - Math.clz32(largest) : 64 - Math.clz32(high)
}

function isPacked(column: unknown): column is Packed {
  if (!Array.isArray(column) || column.length !== 2) return false
  const [bits, base64] = column as unknown[]
  if (!Number.isInteger(bits) || typeof base64 !== 'string') return false
  return (bits as number) >= 0 && (bits as number) <= MAX_BITS
}
