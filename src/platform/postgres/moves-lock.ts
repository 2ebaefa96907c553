import type { Sql, Transaction } from './pool.ts'

/** An arbitrary number: with that of a shard, the advisory lock on where its usage is stored. */
const MOVES_LOCK = 7_365_007

/**
 * Keeps usage where it is, in all shards, until the session ends. Any number of sessions may hold
 * the locks.
 */
export async function holdMoves(session: Sql): Promise<void> {
  await session`
    select pg_advisory_lock_shared(${MOVES_LOCK}::integer, s.shard)
    from (select s.shard from shards s order by s.shard) s`
}

/** True if no session keeps the usage of a shard in place, nor can until the transaction ends. */
export async function mayMove(transaction: Transaction, shard: number): Promise<boolean> {
  const [row] = await transaction<{ may: boolean }[]>`
    select pg_try_advisory_xact_lock(${MOVES_LOCK}::integer, ${shard}::integer) as may`
  return row!.may
}
