/** Sums as a page shows them with their rates: names and values. */
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

/** Whether a page shows the value that it has to; sums to the last digit, rates nearly so. */
export function isSame(shown: unknown, expected: unknown): boolean {
  if (typeof expected === 'bigint') return isWhole(shown) && BigInt(shown) === expected
  if (typeof expected === 'number' && typeof shown === 'number') {
    return Math.abs(shown - expected) <= 1e-12
  }
  return shown === expected || (expected === null && shown === undefined)
}

/** True of a whole number that was not rounded. */
export const isWhole = (shown: unknown): shown is number | bigint =>
  typeof shown === 'bigint' || Number.isSafeInteger(shown)

/** What a server has sent is not trusted to be text. */
export function toText(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
