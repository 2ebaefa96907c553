import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { ArchiveUnavailable } from './archived.ts'
import { readEvent } from './read.ts'

/** An idempotency key, and the token that it belongs to. Neither contains a newline. */
export type SourceKey = { source: string; idempotencyKey: string }

/**
 * Returns where idempotency keys are in the log of a shard: positions by the index of the key. A
 * statement of its own: on Citus, a function that reads the log can't run inside a statement that
 * reads it, too. Events that have left the database are read in the archive; throws
 * ArchiveUnavailable if that can't be done.
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
  const found = new Map<number, number>()
  for (const { ordinal, position: at, is_confirmed: isConfirmed } of rows) {
    const position = Number(at)
    const key = keys[ordinal - 1]!
    if (isConfirmed || (await findSameKey(sql, shard, key, [position])) !== null) {
      found.set(ordinal - 1, position)
    }
  }
  return found
}

/**
 * Returns the position of those given whose event has this key, or null. Throws
 * ArchiveUnavailable if one can't be read.
 */
export async function findSameKey(
  sql: Sql | Transaction,
  shard: number,
  { source, idempotencyKey }: SourceKey,
  positions: readonly number[],
): Promise<number | null> {
  for (const position of positions) {
    const event = await readEvent(sql, shard, position)
    // Someone knows better where it is: it was here when its key was packed.
    if (event === null) throw new ArchiveUnavailable()
    if (event.source === source && event.idempotencyKey === idempotencyKey) return position
  }
  return null
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
