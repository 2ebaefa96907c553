import { MAX_DIMENSIONS } from './catalog-change.ts'
import { PayloadError } from './columns.ts'
import { type Details, isDimensionValue, isSortedNames, OTHER, type Values } from './details.ts'
import { decodeMeasures } from './details-payload.ts'
import { type Packed, unpack } from './packed.ts'

/**
 * The members that held details in the first versions with details. A measure is its number and its
 * packed values.
 *
 *     "dimensions":["model","status"],"combinations":[["gpt-5","200"],["gpt-5",null]],
 *     "combination":[1,"QA=="],"measures":{"input_tokens":[0,11,"SwPoAA=="]}
 *
 * and `"counted":[["gpt-5","200"],["other",null]]` if a value was beyond a limit.
 */
type CombinedDetails = {
  dimensions: readonly string[]
  combinations: readonly Values[]
  /** Absent if every combination is counted as posted. */
  counted?: readonly Values[]
  combination: Packed
  measures: Record<string, [number: number, ...values: Packed]>
}

/** Reads these members. Throws PayloadError if no append could have written them. */
export function decodeCombinedDetails(payload: object, entries: number): Details {
  const { dimensions, combinations, counted, combination, measures } = payload as CombinedDetails
  if (!isSortedNames(dimensions, MAX_DIMENSIONS)) {
    throw new PayloadError('dimensions are not names in order')
  }
  const isValues = (isValue: (value: unknown) => boolean) => (values: unknown) =>
    Array.isArray(values) &&
    values.length === dimensions.length &&
    values.every((value) => value === null || isValue(value))
  if (!Array.isArray(combinations) || !combinations.every(isValues(isDimensionValue))) {
    throw new PayloadError('a combination is not a value of each dimension')
  }
  if (counted !== undefined && !isCounted(combinations, counted)) {
    throw new PayloadError('a combination is counted as another one')
  }
  const indexes = unpack(combination, entries, 'combination')
  if (indexes.some((index) => index >= combinations.length)) {
    throw new PayloadError('an entry has no combination')
  }
  return {
    dimensions: [...dimensions],
    combinations,
    counted: counted ?? combinations,
    combination: indexes,
    measures: decodeMeasures(measures, entries, (packed, zeros, name) =>
      unpack(packed, zeros.length, name),
    ),
  }
}

function isCounted(combinations: readonly Values[], counted: unknown): boolean {
  return (
    Array.isArray(counted) &&
    counted.length === combinations.length &&
    combinations.every(
      (values, i) =>
        Array.isArray(counted[i]) &&
        counted[i].length === values.length &&
        values.every((value, j) => {
          const as: unknown = counted[i][j]
          return as === value || (as === OTHER && value !== null)
        }),
    )
  )
}
