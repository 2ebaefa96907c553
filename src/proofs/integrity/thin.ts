import { FLUSH_TYPES } from '../../events/flush.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import type { Chunk } from './chunk.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** An event as what makes its leaf, with the hash of its payload as it is, and if it is a flush. */
type Row = { position: string; leaf: string; is_flush: boolean }

/**
 * Compares what the database still has of a chunk with the archive: the same events without the
 * flushes, or all of them if the flushes have not left yet.
 */
export async function checkThin(
  database: Sql | Transaction,
  archive: Sql | Transaction,
  chunk: Chunk,
): Promise<Problem[]> {
  const [here, there] = await Promise.all([readRows(database, chunk), readRows(archive, chunk)])
  const found = new Map(here.map((row) => [row.position, row]))
  const hasFlushes = here.some((row) => row.is_flush)
  const problems: Problem[] = []
  const add = (position: string, expected: string, was: string) =>
    problems.push({ check: 'archive', at: `${chunk.shard}/${position}`, expected, found: was })
  for (const { position, leaf, is_flush: isFlush } of there) {
    const row = found.get(position)
    found.delete(position)
    if (row === undefined) {
      if (!isFlush) add(position, 'an event in the database', 'none')
      else if (hasFlushes) add(position, 'a flush in the database, like others', 'none')
    } else if (row.leaf !== leaf) add(position, 'the event of the archive', 'another')
  }
  for (const position of found.keys()) add(position, 'an event that is in the archive', 'another')
  return problems.slice(0, MAX_PROBLEMS)
}

function readRows(sql: Sql | Transaction, { shard, after, through }: Chunk): Promise<Row[]> {
  return sql<Row[]>`
    select
      e.position,
      e.type in ${sql(FLUSH_TYPES)} as is_flush,
      concat_ws(
        ' ', e.type, e.version, ${sql.unsafe(toMicroseconds('e.recorded_at'))}, e.source,
        e.idempotency_key, encode(e.payload_sha256, 'hex'),
        encode(sha256(convert_to(e.payload::text, 'UTF8')), 'hex')
      ) as leaf
    from events e
    where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
    order by e.position`
}
