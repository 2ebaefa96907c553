import { median } from '../measure.ts'

/** Of the median: a smaller value is weighted like this one, as noise is a larger part of it. */
const SMALLEST = 0.02

/**
 * Least squares with coefficients that are 0 or more. What counts is the error in per cent, of the
 * values or of what they were `measured` as a part of. `features` are the columns of each row.
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
      // Nor is nothing: -0 is 0.
      for (const [i, column] of used.entries()) coefficients[column] = solved[i]! || 0
      return coefficients
    }
    // What would be negative is nothing: the others are fitted without it.
    used = used.filter((_, i) => i !== lowest)
  }
}

type Rows = { features: number[][]; values: number[]; weights: number[] }

/** The normal equations of the used columns. */
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

/** Solves the equations of a matrix with the right side as its last column. */
function eliminate(matrix: number[][]): number[] {
  const size = matrix.length
  for (let i = 0; i < size; i++) {
    const pivot = matrix.slice(i).reduce((best, row, at) => {
      return Math.abs(row[i]!) > Math.abs(matrix[best]![i]!) ? i + at : best
    }, i)
    ;[matrix[i], matrix[pivot]] = [matrix[pivot]!, matrix[i]!]
    const head = matrix[i]!
    // A column that says nothing the others don't.
    if (Math.abs(head[i]!) < 1e-12) head[i] = Number.POSITIVE_INFINITY
    for (const [r, row] of matrix.entries()) {
      if (r === i) continue
      const factor = row[i]! / head[i]!
      for (let c = i + 1; c <= size; c++) row[c]! -= factor * head[c]!
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!)
}
