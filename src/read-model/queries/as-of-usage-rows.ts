import { ACCOUNTS } from '../../events/accounts.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, listOf, unnest } from '../projections/account-sql.ts'
import { type AsOfSource, asOfSource } from './as-of-source.ts'
import { backdatedRows, countedRows, rolledUpRows, type Scope, timelyRows } from './scope.ts'

/**
 * A shard's quarter hour that is incomplete as of the read: what had been counted before it, and
 * through the last event of the read.
 */
export type PartialQuarterHour = {
  shard: number
  quarter: string
  before: AsOfEnd
  until: AsOfEnd
}

/** The counters as of a position, and what its incomplete block had counted elsewhere. */
export type AsOfEnd = AsOfSource & { late: readonly Column[] }

/**
 * A `select` of usage rows as of a time within these quarter hours, one per shard: what was counted
 * when it was recorded, all that was backdated until then, and what is kept by days or months,
 * which was recorded before.
 */
export function asOfUsageRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
): Fragment {
  const columns = listOf(transaction, ACCOUNTS[scope.kind].sums, 'u')
  return transaction`
    ${asOfTimelyRows(transaction, scope, quarters)}
    union all
    select u.quarter, u.account, ${columns}
    from (${asOfBackdatedRows(transaction, scope, quarters)}) u
    union all
    select u.quarter, u.account, ${columns} from (${rolledUpRows(transaction, scope)}) u`
}

/** A `select` of the backdated part of these rows, with shards and positions. */
export function asOfBackdatedRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
): Fragment {
  const isUntil = quarters
    .map(({ shard, until }) => {
      const position = until.positions[shard]!
      return transaction`(u.shard = ${shard} and u.position <= ${position})`
    })
    .reduce((all, one) => transaction`${all} or ${one}`, transaction`false`)
  const complete = transaction`
    select * from (${backdatedRows(transaction, scope)}) u where ${isUntil}`
  return quarters
    .filter(({ until }) => until.late.length > 0)
    .map(({ shard, until }) => {
      const columns = listOf(transaction, ACCOUNTS[scope.kind].sums, 'f')
      const position = until.positions[shard]!
      return transaction`
        select ${shard}::integer, f.quarter, ${position}::bigint, f.account, ${columns}
        from ${unnest(transaction, until.late)}`
    })
    .reduce((all, part) => transaction`${all} union all ${part}`, complete)
}

/**
 * A `select` of the other part: the complete quarter hours, and the growth of the counters since,
 * without what was backdated meanwhile.
 */
export function asOfTimelyRows(
  transaction: Transaction,
  scope: Scope,
  quarters: readonly PartialQuarterHour[],
): Fragment {
  const { sums } = ACCOUNTS[scope.kind]
  const columns = listOf(transaction, sums, 'u')
  const rows = timelyRows(transaction, scope)
  const backdated = backdatedRows(transaction, scope)
  // Selects no row if no shard has an event.
  const none = transaction`select u.quarter, u.account, ${columns} from (${rows}) u where false`
  return quarters
    .flatMap(({ shard, quarter, before, until }) => [
      transaction`
        select u.quarter, u.account, ${columns}
        from (${rows}) u
        where u.shard = ${shard} and u.quarter < ${quarter}::timestamptz`,
      counted(transaction, scope, quarter, until, '+'),
      counted(transaction, scope, quarter, before, '-'),
      transaction`
        select ${quarter}::timestamptz, u.account, ${listOf(transaction, sums, '-u')}
        from (${backdated}) u
        where u.shard = ${shard}
          and u.position > ${before.positions[shard]!}
          and u.position <= ${until.positions[shard]!}`,
      ...late(transaction, scope, quarter, until, '-'),
      ...late(transaction, scope, quarter, before, '+'),
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
    select ${quarter}::timestamptz as quarter, t.account, ${values}
    from (${countedRows(transaction, asOfSource(transaction, asOf), scope)}) t`
}

/** The same for what an incomplete block had counted in other quarter hours, if anything. */
function late(
  transaction: Transaction,
  scope: Scope,
  quarter: string,
  asOf: AsOfEnd,
  sign: '+' | '-',
): Fragment[] {
  if (asOf.late.length === 0) return []
  const values = listOf(transaction, ACCOUNTS[scope.kind].sums, `${sign}f`)
  const rows = unnest(transaction, asOf.late)
  return [transaction`select ${quarter}::timestamptz, f.account, ${values} from ${rows}`]
}
