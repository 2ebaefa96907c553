import postgres from 'postgres'
import type { Address } from '../server.ts'
import { groupOf } from '../workload.ts'
import { createTables } from './direct-update.ts'
import type { Storage } from './storage.ts'

/** Milliseconds between two writes. */
const INTERVAL_MS = 1_000

type Sums = Map<number, { requests: number; successes: number }>

/**
 * What gateways do without a service for it: counts are added up in memory, and written once a
 * second. A flush is answered before that, so a crash loses what was counted since the last write.
 */
export async function collectedUpdates(address: Address): Promise<Storage> {
  const sql = postgres({ ...address, max: 1, onnotice: () => {} })
  await createTables(sql)
  let keys: Sums = new Map()
  const write = async () => {
    const written = keys
    keys = new Map()
    const groups: Sums = new Map()
    for (const [id, { requests, successes }] of written)
      add(groups, groupOf(id), requests, successes)
    if (written.size > 0) {
      await sql.begin(async (transaction) => {
        await update(transaction, 'counted_keys', written)
        await update(transaction, 'counted_groups', groups)
      })
    }
    setTimeout(write, INTERVAL_MS)
  }
  setTimeout(write, INTERVAL_MS)
  return {
    append: async ({ ids, requests, successes }) => {
      for (const [i, id] of ids.entries()) add(keys, id, requests[i]!, successes[i]!)
    },
  }
}

function add(sums: Sums, id: number, requests: number, successes: number): void {
  const sum = sums.get(id)
  if (sum === undefined) sums.set(id, { requests, successes })
  else {
    sum.requests += requests
    sum.successes += successes
  }
}

async function update(
  transaction: postgres.TransactionSql,
  table: string,
  sums: Sums,
): Promise<void> {
  const rows = [...sums]
  await transaction`
    update ${transaction(table)} as t
    set requests = t.requests + n.requests, successes = t.successes + n.successes
    from unnest(
      ${rows.map(([id]) => id)}::integer[],
      ${rows.map(([, { requests }]) => requests)}::bigint[],
      ${rows.map(([, { successes }]) => successes)}::bigint[]
    ) as n(id, requests, successes)
    where t.id = n.id`
}
