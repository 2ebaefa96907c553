import { ACCOUNTS } from '../../events/accounts.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { listOf } from '../projections/account-sql.ts'
import { type AsOfSource, asOfSource } from './as-of-source.ts'
import { countedRows, type Scope, usageRows } from './scope.ts'

/** A shard's quarter that isn't over: what it had counted before it, and until some event of it. */
export type PartialQuarterHour = {
  shard: number
  quarter: string
  before: AsOfSource
  until: AsOfSource
}

/**
 * A `select` of the rows of usage as they stood amid these quarters, one a shard: the quarters
 * before, which hold nothing later, and what the counters grew by since.
 */
export function asOfUsageRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
): Fragment {
  const columns = listOf(transaction, ACCOUNTS[scope.kind].sums, 'u')
  const rows = usageRows(transaction, scope)
  // No row, where no shard has any event.
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

/** What had been counted, as rows of a quarter; `-`: to be taken away. */
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
