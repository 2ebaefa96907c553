import type { Transaction } from '../../../../src/platform/postgres/pool.ts'
import type { Chunk } from '../../../../src/proofs/integrity/chunk.ts'
import type { Problem } from '../../../../src/proofs/integrity/problem.ts'
import { loadWithCasts } from './load.ts'
import { loadActs, loadUnknown } from './load-acts.ts'
import { copyEvents, loadCatalog, loadFlushesByValue, noteUnreadable } from './load-carefully.ts'

/** A chunk of at most this many events is read value by value instead of being halved again. */
const FEW_EVENTS = 40

/** Replaces the contents of the chunk tables with this chunk; records what can't be read. */
export async function loadChunk(sql: Transaction, chunk: Chunk): Promise<Problem[]> {
  // A commit empties the tables, but a transaction may load more than one chunk.
  await sql`delete from chunk_api_keys`
  await sql`delete from chunk_keys`
  await sql`delete from chunk_catalog`
  await sql`delete from chunk_acts`
  await sql`delete from chunk_unknown`
  const problems = await loadFlushes(sql, chunk)
  await copyEvents(sql, chunk, 'others')
  await loadFlushesByValue(sql)
  await loadCatalog(sql)
  problems.push(...(await noteUnreadable(sql, chunk.shard)))
  await copyEvents(sql, chunk, 'all')
  await loadActs(sql)
  await loadUnknown(sql)
  return problems
}

/** Halves a chunk that the casts refuse, so that only a few events are read value by value. */
async function loadFlushes(sql: Transaction, chunk: Chunk): Promise<Problem[]> {
  if (await tryWithCasts(sql, chunk)) return []
  const { shard, after, through } = chunk
  if (through - after <= FEW_EVENTS) {
    await copyEvents(sql, chunk, 'flushes')
    await loadFlushesByValue(sql)
    return noteUnreadable(sql, shard)
  }
  const middle = after + Math.floor((through - after) / 2)
  return [
    ...(await loadFlushes(sql, { shard, after, through: middle })),
    ...(await loadFlushes(sql, { shard, after: middle, through })),
  ]
}

/** Thrown to roll back to the savepoint. */
const CASTS_REFUSED = new Error('a cast refused the chunk')

async function tryWithCasts(sql: Transaction, chunk: Chunk): Promise<boolean> {
  try {
    await sql.savepoint(async (savepoint) => {
      if (!(await loadWithCasts(savepoint, chunk))) throw CASTS_REFUSED
    })
    return true
  } catch (error) {
    if (error === CASTS_REFUSED || isDataError(error)) return false
    throw error
  }
}

/** True if a cast failed (SQLSTATE class 22). */
const isDataError = (error: unknown) =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('22')
