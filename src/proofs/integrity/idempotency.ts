import { readLeafEvent } from '../../log/read.ts'
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

/** The idempotency key of an event, as the hash by which it is packed, in hex. */
export type KeyHash = { position: string; hash: string }

/**
 * Reads the idempotency keys of a chunk as hashes of 8 bytes, whatever their length: those by which
 * keys are packed, computed here.
 */
export function readKeyHashes(
  sql: Sql | Transaction,
  { shard, after, through }: Chunk,
): Promise<KeyHash[]> {
  return sql<KeyHash[]>`
    select
      e.position,
      encode(
        substring(sha256(convert_to(e.source || chr(10) || e.idempotency_key, 'UTF8')) for 8), 'hex'
      ) as hash
    from events e
    where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
      and e.idempotency_key is not null`
}

/** Records the keys of a chunk that is read elsewhere. */
export async function noteKeyHashes(
  sql: Transaction,
  shard: number,
  keys: readonly KeyHash[],
): Promise<void> {
  await sql`
    insert into idempotency_hashes (slot, shard, position, hash)
    select get_byte(h.hash, 0) / ${256 / SLOTS}::integer, ${shard}, k.position, h.hash
    from json_to_recordset(${JSON.stringify(keys)}::text::json) as k(position bigint, hash text)
      cross join lateral decode(k.hash, 'hex') as h(hash)`
}

/**
 * Finds events that share an idempotency key among all that were recorded, without the index that
 * should prevent them. It goes slot by slot, so that no statement takes long.
 */
export async function checkIdempotencyKeys(sql: Sql): Promise<Problem[]> {
  const problems: Problem[] = []
  for (let slot = 0; slot < SLOTS && problems.length < MAX_PROBLEMS; slot++) {
    const rows = await sql<{ shard: number; position: string; hash: string }[]>`
      select i.shard, i.position, encode(i.hash, 'hex') as hash
      from (
        select i.shard, i.hash
        from idempotency_hashes i
        where i.slot = ${slot}
        group by i.shard, i.hash
        having count(*) > 1
      ) twice
        join idempotency_hashes i using (shard, hash)
      where i.slot = ${slot}
      order by i.shard, i.position
      limit ${2 * MAX_PROBLEMS}`
    const firsts = new Map<string, string>()
    for (const { shard, position, hash } of rows) {
      const key = `${shard} ${await readKey(sql, shard, Number(position))} ${hash}`
      const first = firsts.get(key)
      if (first === undefined) {
        firsts.set(key, position)
        continue
      }
      problems.push({
        check: 'idempotency',
        at: `${shard}/${position}`,
        expected: 'an idempotency key of its own',
        found: `that of ${shard}/${first}`,
      })
    }
  }
  return problems.slice(0, MAX_PROBLEMS)
}

async function readKey(sql: Sql, shard: number, position: number): Promise<string> {
  const event = await readLeafEvent(sql, shard, position)
  return event === null ? '' : `${event.source}\n${event.idempotencyKey}`
}
