import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Past, pastSource } from './as-of-source.ts'
import { countedRows, type UsageOf, usageColumns, usageRows } from './usage-rows.ts'

/** A shard's quarter that isn't over: what it had counted before it, and until some event of it. */
export type PartialQuarter = { shard: number; quarter: string; before: Past; until: Past }

/**
 * A `select` of the rows of usage as they stood amid these quarters, one a shard: the quarters
 * before, which hold nothing later, and what the counters grew by since.
 */
export function pastUsageRows(
  transaction: Transaction,
  of: UsageOf,
  quarters: readonly PartialQuarter[],
): Fragment {
  const columns = transaction(usageColumns(of) as string[])
  const rows = usageRows(transaction, of)
  // No row, where no shard has any event.
  const none = transaction`select u.quarter, ${columns} from (${rows}) u where false`
  return quarters
    .flatMap(({ shard, quarter, before, until }) => [
      transaction`
        select u.quarter, ${columns}
        from (${rows}) u
        where u.shard = ${shard} and u.quarter < ${quarter}::timestamptz`,
      counted(transaction, of, quarter, until, '+'),
      counted(transaction, of, quarter, before, '-'),
    ])
    .reduce((all, part) => transaction`${all} union all ${part}`, none)
}

/** What had been counted, as rows of a quarter; `-`: to be taken away. */
function counted(
  transaction: Transaction,
  of: UsageOf,
  quarter: string,
  past: Past,
  sign: '+' | '-',
): Fragment {
  const values = usageColumns(of)
    .map((name) => transaction`${transaction.unsafe(sign)} t.${transaction(name)}`)
    .reduce((all, value) => transaction`${all}, ${value}`)
  return transaction`
    select ${quarter}::timestamptz as quarter, ${values}
    from (${countedRows(transaction, pastSource(transaction, past), of)}) t`
}
