/** No append could have written a stored payload, so its event can't be folded. */
export class PayloadError extends Error {
  override name = 'PayloadError'
}

/** 9999-12-31T23:59:59Z in Unix seconds: the last second that RFC 3339 can express. */
export const LAST_UNIX_SECOND = 253_402_300_799

export const isCount = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 0

export const isId = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) > 0

/** True for text that a database can store: no NUL, no lone surrogate. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()

/** Reads columns of a payload. Throws PayloadError unless all are valid and of the same length. */
export function decodeColumns<Name extends string>(
  payload: unknown,
  checks: Record<Name, (value: unknown) => boolean>,
): Record<Name, unknown[]> {
  if (typeof payload !== 'object' || payload === null) throw new PayloadError('not an object')
  const columns = {} as Record<Name, unknown[]>
  let length = -1
  for (const name of Object.keys(checks) as Name[]) {
    const column = (payload as Record<string, unknown>)[name]
    if (!Array.isArray(column)) throw new PayloadError(`no column ${name}`)
    if (length >= 0 && column.length !== length) throw new PayloadError(`${name} differs in length`)
    if (!column.every(checks[name])) throw new PayloadError(`a value of ${name} is out of range`)
    length = column.length
    columns[name] = column
  }
  return columns
}

const isSameColumn = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i])

/** True if two sets of columns have the same rows, in any order. */
export function sameRows(a: readonly unknown[][], b: readonly unknown[][]): boolean {
  // A retry nearly always sends the rows in the same order.
  if (a.every((column, i) => isSameColumn(column, b[i]!))) return true
  const rowsOf = (columns: readonly unknown[][]) =>
    columns[0]!.map((_, i) => JSON.stringify(columns.map((column) => column[i]))).sort()
  if (a[0]!.length !== b[0]!.length) return false
  const rowsOfB = rowsOf(b)
  return rowsOf(a).every((row, i) => row === rowsOfB[i])
}
