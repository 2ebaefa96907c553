/**
 * Returns the first values of a packed column of a payload (docs/reference/log-format.md), or an
 * empty list if it is not one. The service unpacks with Buffers, which browsers don't have.
 */
export function unpackColumn(column: unknown, entries: number): number[] {
  if (!isPacked(column)) return []
  const [bits, base64] = column
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  return Array.from({ length: entries }, (_, i) => {
    let value = 0
    for (let bit = i * bits; bit < (i + 1) * bits; bit++) {
      value = 2 * value + (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1)
    }
    return value
  })
}

/** True for a width in bits and the values in base64. */
export const isPacked = (column: unknown): column is [bits: number, base64: string] =>
  Array.isArray(column) &&
  column.length === 2 &&
  Number.isInteger(column[0]) &&
  typeof column[1] === 'string' &&
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(column[1])

/** Returns when a flush was counted (Unix seconds), if its payload states it; otherwise null. */
export function statedTime(type: string, payload: unknown): number | null {
  if (!type.endsWith('StatsFlushed')) return null
  const { counted_at } = (payload ?? {}) as { counted_at?: unknown }
  return typeof counted_at === 'number' ? counted_at : null
}
