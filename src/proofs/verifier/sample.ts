import { randomInt } from 'node:crypto'

type Key = number | string

/** True if usage can be requested for a key. A list with any other key is reported elsewhere. */
export const isKey = (key: Key) =>
  typeof key === 'number' ? key > 0 : key !== '' && key.length <= 1_024 && key.isWellFormed()

/** Returns `count` random values. Reorders `values`. */
export function drawSample<Value>(values: Value[], count: number): Value[] {
  if (count >= values.length) return values
  for (let i = 0; i < count; i++) {
    const other = randomInt(i, values.length)
    ;[values[i], values[other]] = [values[other]!, values[i]!]
  }
  return values.slice(0, count)
}
