import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Chunk } from './chunk.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** Partitions of `idempotency_hashes`, by the first four bits of the hash; see session.sql. */
export const SLOTS = 16

/**
 * Records the idempotency keys of a chunk as hashes of 8 bytes, whatever their length: those by
 * which keys are packed, computed here.
 */
export async function noteIdempotencyKeys(sql: Transaction, chunk: Chunk): Promise<void> {
  await sql`
    insert into idempotency_hashes (slot, shard, position, hash)
    select get_byte(h.hash, 0) / ${256 / SLOTS}::integer, ${chunk.shard}, h.position, h.hash
    from (
      select
        e.position,
        substring(sha256(convert_to(e.source || chr(10) || e.idempotency_key, 'UTF8')) for 8)
          as hash
      from events e
      where e.shard = ${chunk.shard}
        and e.position > ${chunk.after} and e.position <= ${chunk.through}
        and e.idempotency_key is not null
    ) h`
}

/**
 * Finds events that share an idempotency key among all that were recorded, without the index that
 * should prevent them. It goes slot by slot, so that no statement takes long.
 */
export async function checkIdempotencyKeys(sql: Sql): Promise<Problem[]> {
  const problems: Problem[] = []
  for (let slot = 0; slot < SLOTS && problems.length < MAX_PROBLEMS; slot++) {
    const rows = await sql<{ shard: number; position: string; first: string }[]>`
      select e.shard, e.position, e.first
      from (
        select
          e.shard, e.position,
          min(e.position) over (partition by e.shard, e.source, e.idempotency_key) as first
        from (
          select i.shard, i.hash
          from idempotency_hashes i
          where i.slot = ${slot}
          group by i.shard, i.hash
          having count(*) > 1
        ) twice
          join idempotency_hashes i using (shard, hash)
          join events e using (shard, position)
        where i.slot = ${slot}
      ) e
      where e.position > e.first
      order by e.shard, e.position
      limit ${MAX_PROBLEMS}`
    for (const { shard, position, first } of rows) {
      problems.push({
        check: 'idempotency',
        at: `${shard}/${position}`,
        expected: 'an idempotency key of its own',
        found: `that of ${shard}/${first}`,
      })
    }
  }
  return problems
}
