import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Table } from './projection.ts'

/** What old usage is added up by: days of UTC, and once these are old, its months. */
export const GRAINS = ['day', 'month'] as const
export type Grain = (typeof GRAINS)[number]

/** As in the names of tables and columns. */
export const ADJECTIVES = { day: 'daily', month: 'monthly' } as const

/** The tables with usage by days or months, and with the same by combination. */
export const rolledUpTable = (kind: AccountKind, grain: Grain) =>
  `${kind}_${ADJECTIVES[grain]}_usage`
export const rolledUpPartsTable = (kind: AccountKind, grain: Grain) =>
  `${kind}_${ADJECTIVES[grain]}_parts`

/** The position of rows that were counted when they were recorded, in these tables. */
export const TIMELY = -1

/**
 * The tables of usage by days and months of one kind. No fold writes them: what is older than the
 * service keeps by quarter hours, or by days, is moved there (src/rollups).
 */
export function rolledUpTablesOf(kind: AccountKind): Table[] {
  const { id, sums } = ACCOUNTS[kind]
  const key = ['shard', id, 'quarter', 'position']
  return GRAINS.flatMap((grain) => [
    { name: rolledUpTable(kind, grain), key, values: sums, fillfactor: null },
    {
      name: rolledUpPartsTable(kind, grain),
      key: [...key, 'combination'],
      ...{ values: [...sums, 'measures'], fillfactor: null },
    },
  ])
}
