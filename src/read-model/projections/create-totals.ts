import { ACCOUNT_KINDS, ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import { IdTotals } from './id-totals.ts'
import { NameTotals } from './name-totals.ts'
import type { Totals } from './totals.ts'

/** Creates empty totals for one kind of account. */
export function createTotals(kind: AccountKind): Totals {
  const shape = ACCOUNTS[kind]
  return shape.type === 'bigint' ? new IdTotals(shape) : new NameTotals(shape)
}

/** Creates empty totals for every kind of account. */
export const createAllTotals = () =>
  Object.fromEntries(ACCOUNT_KINDS.map((kind) => [kind, createTotals(kind)])) as Record<
    AccountKind,
    Totals
  >
