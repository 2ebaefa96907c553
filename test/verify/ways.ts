import type { Check } from '../../src/verify/problem.ts'

/**
 * A change of one value that only the owner can make, and what becomes of it. docs/verify.md has
 * this list as a table, and test/verify/flips.db.test.ts makes every change.
 */
export type Flip = {
  table: string
  column: string
  /** What is done, for people. */
  change: string
  /** The column's new value, in SQL. */
  value: string
  /** Which row, in SQL. */
  where: string
  /** The check that finds it; `refused` by the database; null: nothing does. */
  foundBy: Check | 'refused' | null
  /** Where the problem is said to be, in SQL of the row; of the row before or after the change. */
  at: string
}

/** A way to change a value, and where it differs from what holds for its table. */
export type Way = { change: string; value: (column: string) => string }

export const BYTE: Way = {
  change: 'one byte',
  value: (c) => `set_byte(${c}, 3, get_byte(${c}, 3) # 1)`,
}
export const LETTER: Way = {
  change: 'one letter',
  value: (c) => `overlay(${c} placing chr(ascii(${c}) # 1) from 1 for 1)`,
}
export const BIT: Way = { change: 'one bit', value: (c) => `(${c} # 64)` }
export const LOW_BIT: Way = { change: 'one bit, the lowest', value: (c) => `(${c} # 1)` }
export const PLUS_1: Way = { change: 'plus 1', value: (c) => `${c} + 1` }
export const MICROSECOND: Way = {
  change: 'plus 1 µs',
  value: (c) => `${c} + interval '1 microsecond'`,
}
export const IN_ARRAY: Way = {
  change: 'plus 1, of one element',
  value: (c) => `array[${c}[1] + 1] || ${c}[2:]`,
}
export const LETTER_IN_ARRAY: Way = {
  change: 'one letter of one element',
  value: (c) => `array[overlay(${c}[1] placing chr(ascii(${c}[1]) # 1) from 1 for 1)] || ${c}[2:]`,
}
export const is = (change: string, value: string): Way => ({ change, value: () => value })

/** The changes of one table: a way or more for each column, and where they are found. */
export function flipsOf(
  table: string,
  of: { at: string; where?: string; foundBy: Flip['foundBy'] },
  columns: Record<string, Way | (Way & Partial<Omit<Flip, 'value'>>)[]>,
): Flip[] {
  return Object.entries(columns).flatMap(([column, ways]) =>
    (Array.isArray(ways) ? ways : [ways]).map(({ value, ...way }) => ({
      table,
      column,
      where: 'true',
      ...of,
      ...way,
      value: value(column),
    })),
  )
}

export const REFUSED = { foundBy: 'refused' as const }
/** A row in a partition can't be of another generation. */
export const PARTITION = [{ ...BIT, ...REFUSED }]
