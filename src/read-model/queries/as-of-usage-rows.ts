import { ACCOUNTS } from '../../events/accounts.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { listOf } from '../projections/account-sql.ts'
import { type AsOfSource, asOfSource } from './as-of-source.ts'
import { countedRows, type Scope, usageRows } from './scope.ts'

/**
 * A shard's quarter hour that is incomplete as of the read: what had been counted before it, and
 * through the last event of the read.
 */
export type PartialQuarterHour = {
  shard: number
  quarter: string
  before: AsOfSource
  until: AsOfSource
}

/**
 * A `select` of usage rows as of a time within these quarter hours, one per shard: the complete
 * quarter hours before, and the growth of the counters since.
 */
export function asOfUsageRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
): Fragment {
  const columns = listOf(transaction, ACCOUNTS[scope.kind].sums, 'u')
  const rows = usageRows(transaction, scope)
  // Selects no row if no shard has an event.
  const none = transaction`select u.quarter, ${columns} from (${rows}) u where false`
  return quarters
    .flatMap(({ shard, quarter, before, until }) => [
      transaction`
        select u.quarter, ${columns}
        from (${rows}) u
        where u.shard = ${shard} and u.quarter < ${quarter}::timestamptz`,
      counted(transaction, scope, quarter, until, '+'),
      counted(transaction, scope, quarter, before, '-'),
    ])
    .reduce((all, part) => transaction`${all} union all ${part}`, none)
}

/**
 * Selects what had been counted as rows of a quarter hour; `-` selects negative values, to
 * subtract.
 */
function counted(
  transaction: Transaction,
  scope: Scope,
  quarter: string,
  asOf: AsOfSource,
  sign: '+' | '-',
): Fragment {
  const values = listOf(transaction, ACCOUNTS[scope.kind].sums, `${sign}t`)
  return transaction`
    select ${quarter}::timestamptz as quarter, ${values}
    from (${countedRows(transaction, asOfSource(transaction, asOf), scope)}) t`
}
