import type { Transaction } from '../../../../src/platform/postgres/pool.ts'
import type { Chunk } from '../../../../src/proofs/integrity/chunk.ts'
import type { Problem } from '../../../../src/proofs/integrity/problem.ts'
import { loadPlainly } from './load.ts'
import { copyEvents, loadCatalog, loadFlushesCarefully, noteUnreadable } from './load-carefully.ts'

/** A chunk of so few events is read a value at a time rather than halved once more. */
const FEW_EVENTS = 40

/** The chunk tables hold this chunk and nothing else; notes what can't be read. */
export async function loadChunk(sql: Transaction, chunk: Chunk): Promise<Problem[]> {
  // A commit empties them; a transaction may load more than one chunk.
  await sql`delete from chunk_api_keys`
  await sql`delete from chunk_keys`
  await sql`delete from chunk_catalog`
  const problems = await loadFlushes(sql, chunk)
  await copyEvents(sql, chunk, 'others')
  await loadCatalog(sql)
  return [...problems, ...(await noteUnreadable(sql, chunk.shard))]
}

/** Halves the chunk around what isn't plain, so that only a few events are read carefully. */
async function loadFlushes(sql: Transaction, chunk: Chunk): Promise<Problem[]> {
  if (await tryPlainly(sql, chunk)) return []
  const { shard, after, through } = chunk
  if (through - after <= FEW_EVENTS) {
    await copyEvents(sql, chunk, 'flushes')
    await loadFlushesCarefully(sql)
    return noteUnreadable(sql, shard)
  }
  const middle = after + Math.floor((through - after) / 2)
  return [
    ...(await loadFlushes(sql, { shard, after, through: middle })),
    ...(await loadFlushes(sql, { shard, after: middle, through })),
  ]
}

/** Thrown to take back what was loaded. */
const NOT_PLAIN = new Error('not plain')

async function tryPlainly(sql: Transaction, chunk: Chunk): Promise<boolean> {
  try {
    await sql.savepoint(async (savepoint) => {
      if (!(await loadPlainly(savepoint, chunk))) throw NOT_PLAIN
    })
    return true
  } catch (error) {
    if (error === NOT_PLAIN || isDataError(error)) return false
    throw error
  }
}

/** True if a cast failed (SQLSTATE class 22). */
const isDataError = (error: unknown) =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('22')
