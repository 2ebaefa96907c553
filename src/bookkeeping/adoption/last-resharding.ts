import { SERVICE_SOURCE, SHARDS_CHANGED_KEY } from '../../events/statement.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'

/**
 * Selects the position of shard 0 at which the log was resharded last, -1 if never. Positions that
 * events before it name are those of another log.
 */
export const lastResharding = (sql: Sql | Transaction): Fragment => sql`(
  select coalesce(max(c.position), -1)
  from events c
  where c.shard = 0
    and c.source = ${SERVICE_SOURCE} and c.idempotency_key = ${SHARDS_CHANGED_KEY}
)`
