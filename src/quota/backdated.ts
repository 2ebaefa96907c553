import type { Positions } from '../events/positions.ts'
import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import {
  asOfBackdatedRows,
  type PartialQuarterHour,
} from '../read-model/queries/as-of-usage-rows.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import { backdatedRows, type Scope } from '../read-model/queries/scope.ts'

/** A state of the past, and what is read to show it. */
export type Past = { positions: Positions; quarters: readonly PartialQuarterHour[] }

/**
 * Selects backdated rows of listed keys, with the quarter hour in which quota periods count them
 * (see `Act.quarter`). Without `past` as they are now. Leaves out what resets took away. `isLong`
 * says that very many keys may be listed.
 */
export function selectBackdated(
  transaction: Transaction,
  listed: Fragment,
  past: Past | null,
  isLong = false,
): Fragment {
  const scope: Scope = { kind: 'key', account: null, listed, isLong }
  const rows =
    past === null
      ? backdatedRows(transaction, scope)
      : asOfBackdatedRows(transaction, scope, past.quarters)
  return transaction`
    select
      u.shard, u.position, u.account, u.quota_used, coalesce(a.quarter, u.quarter) as quarter
    from (${rows}) u
      left join acts a on a.generation = ${liveGeneration(transaction, 'bookkeeping')}
        and a.position = u.position and not isfinite(u.quarter) and u.shard = 0
    where a.type is distinct from 'QuotaReset'`
}

/** Selects when the quota of each key was reset last: token_hash and reset_at. */
export function selectResets(transaction: Transaction, past: Past | null): Fragment {
  const isThere =
    past === null ? transaction`true` : transaction`q.position <= ${past.positions[0]!}`
  return transaction`
    select distinct on (q.token_hash) q.token_hash, q.reset_at
    from quota_resets q
    where q.generation = ${liveGeneration(transaction, 'bookkeeping')} and ${isThere}
    order by q.token_hash, q.position desc`
}
