import type { Logger } from 'pino'
import { readHead } from '../log/read.ts'
import { Poll } from '../platform/async/poll.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { connectAsOwner, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'

/**
 * Positions that one transaction packs: one key for two pages of the table, so that the new version
 * of a row finds room in its page, where the old one is overwritten later. With 20,000 keys in a
 * table of 300,000 a key took 39 bytes instead of 26. At most a second of work; at least 500,
 * because a commit costs as much.
 */
const MIN_STEP = 500
const MAX_STEP = 20_000

/** How long (ms) dropping an index may wait for the statements that use its table. */
const DROP_MS = 30_000

export type PackingOptions = {
  /** Keys are packed as the owner, on a connection that is opened for it. */
  address: ServerAddress
  sql: Sql
  shards: number
  /** True for the shards whose keys this instance packs. */
  owns: (shard: number) => boolean
  logger: Logger
  pollIntervalMs: number
}

/**
 * Packs the idempotency keys of full segments, now and at intervals, and drops the indexes that had
 * them. Several instances may do so at once, and a step that was killed is repeated.
 */
export function startPacking(options: PackingOptions): Poll {
  const { sql, shards, owns, address, logger } = options
  const poll: Poll = new Poll(async () => {
    try {
      for (let shard = 0; shard < shards && !poll.isStopped; shard++) {
        if (owns(shard)) await packShard(sql, address, shard, () => poll.isStopped)
      }
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'log: failed to pack keys')
    }
  }, options.pollIntervalMs)
  return poll.start(0)
}

/**
 * Packs the keys of all full segments of a shard, until `isStopped`, and drops their indexes.
 *
 * First a segment's keys are packed step by step, while its index is still used for all of them.
 * With the last step, `segments_unpacked` lists it no more: whoever looks up keys from then on
 * finds them among the packed ones, and those who began before find them in either place. Then the
 * index is dropped, which waits for those and blocks nobody. Killed in between, the index stays
 * until the next call.
 */
export async function packShard(
  sql: Sql,
  address: ServerAddress,
  shard: number,
  isStopped = () => false,
): Promise<void> {
  const full = await readFull(sql, shard)
  const indexes = await readNeedless(sql, shard)
  if (full.length === 0 && indexes.length === 0) return
  const owner = connectAsOwner(address)
  try {
    for (const { first, end, through } of full) {
      for (let packed = through; packed < end - 1 && !isStopped(); ) {
        const next = Math.min(packed + (await chooseStep(owner)), end - 1)
        const [row] = await owner<{ through: string }[]>`
          select pack_keys(${shard}, ${first}, ${next}) as through`
        packed = Number(row!.through)
      }
    }
    if (isStopped()) return
    await owner`select set_config('statement_timeout', ${`${DROP_MS}ms`}, false)`
    for (const index of await readNeedless(sql, shard)) {
      await owner.unsafe(`drop index concurrently if exists ${index}`)
    }
  } finally {
    await owner.end({ timeout: 1 })
  }
}

async function chooseStep(sql: Sql): Promise<number> {
  const [row] = await sql<{ step: number }[]>`
    select (pg_relation_size('packed_keys') / 8192 / 2)::integer as step`
  return Math.min(Math.max(row!.step, MIN_STEP), MAX_STEP)
}

/** Returns the full segments of a shard whose keys are not all packed. */
async function readFull(sql: Sql, shard: number) {
  const rows = await sql<{ first: string; end: string; through: string }[]>`
    select g.first_position as first, g.end_position as end, g.packed_through as through
    from segments g
    where g.shard = ${shard} and g.packed_through < g.end_position - 1
    order by g.first_position`
  // Nothing is full before a second segment is there.
  if (rows.length < 2) return []
  const head = await readHead(sql, shard)
  return rows
    .map(({ first, end, through }) => ({
      first: Number(first),
      end: Number(end),
      through: Number(through),
    }))
    .filter(({ end }) => end <= head)
}

/** Returns the indexes of keys, of segments of a shard, that are all packed. */
async function readNeedless(sql: Sql, shard: number): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select i.relname as name
    from pg_index x
      join pg_class i on i.oid = x.indexrelid
      join pg_class c on c.oid = x.indrelid
      join segments g on c.relname = concat('events_', g.shard, '_', g.first_position)
        or (c.relname = 'events_legacy' and g.first_position = 0)
    where i.relname = c.relname || '_idempotency_key' and g.packed_through = g.end_position - 1
      and (
        g.shard = ${shard} and c.relname <> 'events_legacy'
        -- All shards have keys in the table that was the whole log once.
        or c.relname = 'events_legacy' and not exists (
          select from segments o
          where o.first_position = 0 and o.packed_through < o.end_position - 1
        )
      )
    group by i.relname`
  return rows.map(({ name }) => name)
}
