/** The types of events that can be reversed: those that count, except reversals themselves. */
export const REVERSIBLE = [
  'ApiKeyStatsFlushed',
  'KeyStatsFlushed',
  'BalancesOpened',
  'TotalsAdjusted',
] as const
