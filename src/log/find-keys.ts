import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'

/** An idempotency key, and the token that it belongs to. Neither contains a newline. */
export type SourceKey = { source: string; idempotencyKey: string }

/**
 * Returns where idempotency keys are in the log of a shard: positions by the index of the key. A
 * statement of its own: on Citus, a function that reads the log can't run inside a statement that
 * reads it, too. Throws TemporarilyUnavailable if an event that has left the database would have to
 * be read.
 */
export async function findKeys(
  sql: Sql | Transaction,
  shard: number,
  keys: readonly SourceKey[],
): Promise<Map<number, number>> {
  if (keys.length === 0) return new Map()
  const rows = await sql<{ ordinal: number; position: string; is_confirmed: boolean }[]>`
    select k.ordinal, k.position, k.is_confirmed
    from find_keys(
      ${shard}, ${keys.map(({ source }) => source).join('\n')}::text,
      ${keys.map(({ idempotencyKey }) => idempotencyKey).join('\n')}::text
    ) k`
  if (rows.some((row) => !row.is_confirmed)) throw new TemporarilyUnavailable('archive unavailable')
  return new Map(rows.map(({ ordinal, position }) => [ordinal - 1, Number(position)]))
}

/** Like `findKeys`, for one key: its position, or null. */
export async function findKey(
  sql: Sql | Transaction,
  shard: number,
  source: string,
  idempotencyKey: string,
): Promise<number | null> {
  const found = await findKeys(sql, shard, [{ source, idempotencyKey }])
  return found.get(0) ?? null
}
