import { SERVICE_SOURCE, SHARDS_CHANGED_KEY } from '../../events/statement.ts'
import { findKey } from '../../log/find-keys.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'

/**
 * Returns the position of shard 0 at which the log was resharded last, -1 if never. Positions that
 * events before it name are those of another log.
 */
export const readLastResharding = async (sql: Sql | Transaction): Promise<number> =>
  (await findKey(sql, 0, SERVICE_SOURCE, SHARDS_CHANGED_KEY)) ?? -1
