/** Returns the value below which a share of the numbers lies, or NaN if there are none. */
export function percentile(numbers: number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (numbers: number[]) => percentile(numbers, 0.5)

/** Rounds to three significant digits. */
export function round(value: number): number {
  if (!Number.isFinite(value) || value === 0) return value
  const digits = 3 - Math.ceil(Math.log10(Math.abs(value)))
  const factor = 10 ** digits
  return Math.round(value * factor) / factor
}
