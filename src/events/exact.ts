/** An integer that is never rounded: a number up to 2^53 - 1, a bigint above. */
export type Exact = number | bigint

/** Returns `sum + count` without rounding. `count` is a safe integer. */
export function addExact(sum: Exact, count: number): Exact {
  if (typeof sum === 'bigint') return toExact(String(sum + BigInt(count)))
  const next = sum + count
  return Number.isSafeInteger(next) ? next : BigInt(sum) + BigInt(count)
}

/** Parses a decimal integer, as PostgreSQL prints it, without rounding. */
export function toExact(value: string): Exact {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : BigInt(value)
}
