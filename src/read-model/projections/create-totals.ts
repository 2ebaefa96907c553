import { ACCOUNT_KINDS, ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import { IdTotals } from './id-totals.ts'
import { NameTotals } from './name-totals.ts'
import type { Totals } from './totals.ts'

/** Creates empty totals for one kind of account. Each class is made for one form of accounts. */
export function createTotals(kind: AccountKind): Totals {
  const shape = ACCOUNTS[kind]
  const form = `${shape.type}, ${shape.sums.length} sums, ${shape.maxima.length} maxima`
  if (form === 'bigint, 2 sums, 0 maxima') return new IdTotals(shape)
  if (form === 'text, 3 sums, 1 maxima') return new NameTotals(shape)
  throw new Error(`no totals for accounts of ${kind}: ${form}`)
}

/** Creates empty totals for every kind of account. */
export const createAllTotals = () =>
  Object.fromEntries(ACCOUNT_KINDS.map((kind) => [kind, createTotals(kind)])) as Record<
    AccountKind,
    Totals
  >
