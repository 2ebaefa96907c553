/** Returns the names and values of sums with their rates, as a page shows them. */
export function ratedFields(total: bigint, success: bigint): [string, unknown][] {
  const failure = total - success
  const rate = (count: bigint) => (total === 0n ? 0 : Number(count) / Number(total))
  return [
    ['total_requests', total],
    ['success_requests', success],
    ['failure_requests', failure],
    ['success_rate', rate(success)],
    ['failure_rate', rate(failure)],
  ]
}

/** True if a page shows the expected value. Sums must be exact; rates may differ by 1e-12. */
export function isSame(shown: unknown, expected: unknown): boolean {
  if (typeof expected === 'bigint') return isWhole(shown) && BigInt(shown) === expected
  if (typeof expected === 'number' && typeof shown === 'number') {
    return Math.abs(shown - expected) <= 1e-12
  }
  return shown === expected || (expected === null && shown === undefined)
}

/** True if the value is a whole number that was not rounded. */
export const isWhole = (shown: unknown): shown is number | bigint =>
  typeof shown === 'bigint' || Number.isSafeInteger(shown)

/** Formats any value that a server has sent. */
export function toText(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
