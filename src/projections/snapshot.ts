import { type Sql, type Transaction, transact } from '../db/pool.ts'
import type { Positions } from '../events/positions.ts'

/** What a read gives, and the positions that it reflects: exactly, of the same snapshot. */
export type Reflected<Value> = { value: Value; positions: Positions }

/** Reads the projections in one snapshot. */
export async function readSnapshot<Value>(
  sql: Sql,
  read: (transaction: Transaction) => Promise<Value>,
): Promise<Reflected<Value>> {
  const [positions, value] = await transact(
    sql,
    'isolation level repeatable read read only',
    (transaction) => Promise.all([readReflected(transaction), read(transaction)]),
  )
  return { positions, value }
}

/** What the projections reflect: the slowest checkpoint of each shard. */
async function readReflected(transaction: Transaction): Promise<Positions> {
  const rows = await transaction<{ position: string }[]>`
    select min(c.position) as position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    group by c.shard
    order by c.shard`
  return rows.map(({ position }) => Number(position))
}
