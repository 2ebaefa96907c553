import postgres from 'postgres'
import type { Address } from '../server.ts'
import { makeCatalog } from '../workload.ts'
import type { Storage } from './storage.ts'

/** Size of a typical connection pool. */
const CONNECTIONS = 16

/**
 * The design that this service replaces: one transaction with an UPDATE per key, then one per group.
 * If `sorted`, it updates in the order of ids, so that flushes cannot deadlock.
 */
export async function directUpdate(address: Address, sorted: boolean): Promise<Storage> {
  const sql = postgres({ ...address, max: CONNECTIONS, onnotice: () => {} })
  await createTables(sql)
  return {
    append: async ({ ids, requests, successes }) => {
      const order = [...ids.keys()]
      if (sorted) order.sort((a, b) => ids[a]! - ids[b]!)
      await sql.begin(async (transaction) => {
        const groups = new Map<number, { requests: number; successes: number }>()
        for (const i of order) {
          const [row] = await transaction<{ group_id: number }[]>`
            update counted_keys
            set requests = requests + ${requests[i]!}, successes = successes + ${successes[i]!}
            where id = ${ids[i]!}
            returning group_id`
          if (!row) continue
          const group = groups.get(row.group_id) ?? { requests: 0, successes: 0 }
          group.requests += requests[i]!
          group.successes += successes[i]!
          groups.set(row.group_id, group)
        }
        const totals = [...groups]
        if (sorted) totals.sort(([a], [b]) => a - b)
        for (const [id, group] of totals) {
          await transaction`
            update counted_groups
            set requests = requests + ${group.requests}, successes = successes + ${group.successes}
            where id = ${id}`
        }
      })
    },
  }
}

/** Creates the counters of all keys and groups. */
export async function createTables(sql: postgres.Sql): Promise<void> {
  await sql`
    create table counted_keys (
      id integer primary key,
      group_id integer not null,
      requests bigint not null default 0,
      successes bigint not null default 0
    )`
  await sql`
    create table counted_groups (
      id integer primary key,
      requests bigint not null default 0,
      successes bigint not null default 0
    )`
  const { provider_groups, api_keys } = makeCatalog()
  await sql`insert into counted_groups ${sql(provider_groups, 'id')}`
  await sql`insert into counted_keys ${sql(api_keys, 'id', 'group_id')}`
}
