/** An integer that is never rounded: a number up to 2^53 - 1, a bigint above. */
export type Exact = number | bigint

/** Returns `sum + count` without rounding. Numbers are safe integers. */
export function addExact(sum: Exact, count: Exact): Exact {
  if (typeof sum === 'number' && typeof count === 'number') {
    const next = sum + count
    if (Number.isSafeInteger(next)) return next
  }
  return toExact(String(BigInt(sum) + BigInt(count)))
}

/** Parses a decimal integer, as PostgreSQL prints it, without rounding. */
export function toExact(value: string): Exact {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : BigInt(value)
}
