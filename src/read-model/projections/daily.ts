import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Table } from './projection.ts'

/** The tables with usage by days of UTC, and with the same by combination. */
export const dailyTable = (kind: AccountKind) => `${kind}_daily_usage`
export const dailyPartsTable = (kind: AccountKind) => `${kind}_daily_parts`

/** The position of rows that were counted when they were recorded, in tables by days. */
export const TIMELY = -1

/**
 * The tables of usage by days of one kind. No fold writes them: what is older than the service
 * keeps by quarter hours is moved there (src/rollups).
 */
export function dailyTablesOf(kind: AccountKind): Table[] {
  const { id, sums } = ACCOUNTS[kind]
  const key = ['shard', id, 'quarter', 'position']
  return [
    { name: dailyTable(kind), key, values: sums, fillfactor: null },
    {
      name: dailyPartsTable(kind),
      key: [...key, 'combination'],
      ...{ values: [...sums, 'measures'], fillfactor: null },
    },
  ]
}
