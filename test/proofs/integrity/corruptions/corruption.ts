import type { Check } from '../../../../src/proofs/integrity/problem.ts'

/**
 * A change of one value that only the owner can make, and what becomes of it. docs/reference/integrity-checks.md has
 * all of them as a table, and test/proofs/integrity/single-value-corruption.db.test.ts makes each.
 */
export type Corruption = {
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

/** How a value is altered. */
export type Alteration = { change: string; value: (column: string) => string }

export const BYTE: Alteration = {
  change: 'one byte',
  value: (c) => `set_byte(${c}, 3, get_byte(${c}, 3) # 1)`,
}
export const LETTER: Alteration = {
  change: 'one letter',
  value: (c) => `overlay(${c} placing chr(ascii(${c}) # 1) from 1 for 1)`,
}
export const BIT: Alteration = { change: 'one bit', value: (c) => `(${c} # 64)` }
export const LOW_BIT: Alteration = { change: 'one bit, the lowest', value: (c) => `(${c} # 1)` }
export const PLUS_1: Alteration = { change: 'plus 1', value: (c) => `${c} + 1` }
export const MICROSECOND: Alteration = {
  change: 'plus 1 µs',
  value: (c) => `${c} + interval '1 microsecond'`,
}
export const IN_ARRAY: Alteration = {
  change: 'plus 1, of one element',
  value: (c) => `array[${c}[1] + 1] || ${c}[2:]`,
}
export const LETTER_IN_ARRAY: Alteration = {
  change: 'one letter of one element',
  value: (c) => `array[overlay(${c}[1] placing chr(ascii(${c}[1]) # 1) from 1 for 1)] || ${c}[2:]`,
}
export const is = (change: string, value: string): Alteration => ({ change, value: () => value })

/** The changes of one table: an alteration or more for each column, and where they are found. */
export function corruptionsOf(
  table: string,
  of: { at: string; where?: string; foundBy: Corruption['foundBy'] },
  columns: Record<string, Alteration | (Alteration & Partial<Omit<Corruption, 'value'>>)[]>,
): Corruption[] {
  return Object.entries(columns).flatMap(([column, alterations]) =>
    [alterations].flat().map(({ value, ...alteration }) => ({
      table,
      column,
      where: 'true',
      ...of,
      ...alteration,
      value: value(column),
    })),
  )
}

export const REFUSED = { foundBy: 'refused' as const }
/** A row in a partition can't be of another generation. */
export const PARTITION = [{ ...BIT, ...REFUSED }]
