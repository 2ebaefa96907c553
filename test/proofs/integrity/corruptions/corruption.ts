import type { Check } from '../../../../src/proofs/integrity/problem.ts'

/**
 * A change of one value that only the owner of the database can make, and how it is reported. The
 * table in docs/reference/integrity-checks.md has all of them, and
 * test/proofs/integrity/single-value-corruption.db.test.ts makes each.
 */
export type Corruption = {
  table: string
  column: string
  /** A description for people. */
  change: string
  /** The new value of the column, in SQL. */
  value: string
  /** The condition for the changed row, in SQL. */
  where: string
  /** The check that reports it; `refused` if the database does; null if nothing does. */
  foundBy: Check | 'refused' | null
  /** The place of the problem, as SQL over the row before or after the change. */
  at: string
}

/** An alteration of a value. */
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

/** The changes of one table: one or more alterations of each column, and where they show. */
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
/** A partition accepts only rows of its generation. */
export const PARTITION = [{ ...BIT, ...REFUSED }]
