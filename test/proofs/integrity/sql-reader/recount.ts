import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readHeads } from '../../../../src/log/read.ts'
import { type ServerAddress, type Sql, transact } from '../../../../src/platform/postgres/pool.ts'
import { loadChunk } from './load-chunk.ts'
import { openReader } from './session.ts'

/** Rows of sums, as texts in order. */
export type Sums = { totals: string[]; usage: string[]; unknown: string[] }

/** Events of a chunk. */
const CHUNK_EVENTS = 1_000

/**
 * Adds up a whole log with the SQL reader. Returns its totals, usage by quarter hour (none is
 * `-infinity`) and what is left for unknown keys, the same as the projections have it, and the
 * number of events that can't be read.
 */
export async function recount(
  address: ServerAddress,
): Promise<{ recounted: Sums; projected: Sums; unreadable: number }> {
  const sql = await openReader(address)
  try {
    await sql.unsafe(await readFile(join(import.meta.dir, 'recount.sql'), 'utf8'))
    for (const [shard, head] of (await readHeads(sql)).entries()) {
      for (let after = -1; after < head; after += CHUNK_EVENTS) {
        await addChunk(sql, shard, after, Math.min(after + CHUNK_EVENTS, head))
      }
    }
    const unreadable = await sql`select u.* from unreadable u`
    const recounted = await readSums(sql, 'recounted')
    const projected = await readSums(sql, 'projected')
    return { recounted, projected, unreadable: unreadable.length }
  } finally {
    await sql.end()
  }
}

/** Adds the sums of a chunk, whose tables are empty again after the transaction. */
async function addChunk(sql: Sql, shard: number, after: number, through: number): Promise<void> {
  await transact(sql, '', async (transaction) => {
    const problems = await loadChunk(transaction, { shard, after, through })
    if (problems.length > 0) throw new Error(JSON.stringify(problems))
    await transaction`
      insert into counted
      select 'api_key', c.api_key_id::text, c.quarter, c.requests, c.successes, 0, 0
      from chunk_api_keys c
      where c.group_id is not null and c.requests > 0
      union all
      select 'provider_group', c.group_id::text, c.quarter, c.requests, c.successes, 0, 0
      from chunk_api_keys c
      where c.group_id > 0 and c.requests > 0
      union all
      select 'key', c.token_hash, c.quarter, c.requests, c.tokens, c.quota_used, c.last_accessed_at
      from chunk_keys c
      union all
      select a.* from chunk_acts a`
    await transaction`insert into unknown_counted select u.* from chunk_unknown u`
  })
}

async function readSums(sql: Sql, of: 'recounted' | 'projected'): Promise<Sums> {
  const read = async (what: string) => {
    const rows = await sql<{ row: string }[]>`select v.row from ${sql(`${of}_${what}`)} v`
    return rows.map(({ row }) => row).sort()
  }
  return {
    totals: await read('totals'),
    usage: await read('usage'),
    unknown: await read('unknown'),
  }
}
