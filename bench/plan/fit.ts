import { median } from '../measure.ts'

/** Values below this share of the median are weighted like it, because they are mostly noise. */
const SMALLEST = 0.02

/**
 * Least squares with non-negative coefficients. Errors are relative to the values, or to the
 * `measured` totals that they are a part of. `features` are the columns of each row.
 */
export function fit(features: number[][], values: number[], measured = values): number[] {
  const columns = features[0]?.length ?? 0
  const smallest = SMALLEST * median(measured) || 1
  const weights = measured.map((value) => 1 / Math.max(value, smallest) ** 2)
  let used = Array.from({ length: columns }, (_, i) => i)
  for (;;) {
    const solved = solve({ features, values, weights }, used)
    const lowest = solved.indexOf(Math.min(...solved))
    if (used.length === 0 || solved[lowest]! >= 0) {
      const coefficients = new Array<number>(columns).fill(0)
      // Turns -0 into 0.
      for (const [i, column] of used.entries()) coefficients[column] = solved[i]! || 0
      return coefficients
    }
    // A negative coefficient becomes 0, and the others are fitted without it.
    used = used.filter((_, i) => i !== lowest)
  }
}

type Rows = { features: number[][]; values: number[]; weights: number[] }

/** Solves the normal equations of the used columns. */
function solve({ features, values, weights }: Rows, used: number[]): number[] {
  const matrix = used.map(() => new Array<number>(used.length + 1).fill(0))
  for (const [r, row] of features.entries()) {
    const weight = weights[r]!
    for (const [i, a] of used.entries()) {
      for (const [j, b] of used.entries()) matrix[i]![j]! += weight * row[a]! * row[b]!
      matrix[i]![used.length]! += weight * row[a]! * values[r]!
    }
  }
  return eliminate(matrix)
}

/** Solves linear equations; the last column of the matrix is the right side. */
function eliminate(matrix: number[][]): number[] {
  const size = matrix.length
  for (let i = 0; i < size; i++) {
    const pivot = matrix.slice(i).reduce((best, row, at) => {
      return Math.abs(row[i]!) > Math.abs(matrix[best]![i]!) ? i + at : best
    }, i)
    ;[matrix[i], matrix[pivot]] = [matrix[pivot]!, matrix[i]!]
    const head = matrix[i]!
    // A column that depends linearly on the others.
    if (Math.abs(head[i]!) < 1e-12) head[i] = Number.POSITIVE_INFINITY
    for (const [r, row] of matrix.entries()) {
      if (r === i) continue
      const factor = row[i]! / head[i]!
      for (let c = i + 1; c <= size; c++) row[c]! -= factor * head[c]!
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!)
}
