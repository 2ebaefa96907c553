import type { Positions } from '../../events/positions.ts'
import { inSnapshot, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import { COUNTED } from '../projections/index.ts'
import type { Projection } from '../projections/projection.ts'
import { liveSource, type Source } from './live-source.ts'

/** A read's value and the positions that it reflects, both from the same snapshot. */
export type Reflected<Value> = { value: Value; positions: Positions }

/** Reads the live generations of `projections` in one snapshot of the database. */
export async function readNow<Value>(
  sql: Sql | Transaction,
  read: (transaction: Transaction, source: Source) => Promise<Value>,
  projections: readonly Projection[] = COUNTED,
): Promise<Reflected<Value>> {
  const [positions, value] = await inSnapshot(sql, (transaction) =>
    Promise.all([
      readReflected(transaction, projections),
      read(transaction, liveSource(transaction)),
    ]),
  )
  return { positions, value }
}

/** Reads the positions that projections reflect: the slowest checkpoint of each shard. */
export async function readReflected(
  transaction: Transaction,
  projections: readonly Projection[],
): Promise<Positions> {
  const rows = await transaction<{ position: string }[]>`
    select min(c.position) as position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where p.projection in ${transaction(projections.map(({ name }) => name))}
    group by c.shard
    order by c.shard`
  return rows.map(({ position }) => Number(position))
}
