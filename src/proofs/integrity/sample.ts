import { formatPositions } from '../../events/positions.ts'
import { archiveOf } from '../../log/archived.ts'
import {
  type ServerAddress,
  type Sql,
  type Transaction,
  transact,
} from '../../platform/postgres/pool.ts'
import { nextChunk } from './chunk.ts'
import { checkEvents } from './events.ts'
import { noteIdempotencyKeys } from './idempotency.ts'
import { Problems } from './problem.ts'
import { RecordedRows } from './recorded-rows.ts'
import { checkRoots } from './roots.ts'
import { checkActPosition, checkCatalogPosition, readLastDecisions } from './shards.ts'
import { checkTiles } from './tiles.ts'
import {
  checkTheRest,
  inSession,
  type LogArchive,
  type Report,
  readShards,
  type VerifyOptions,
  verifyDatabase,
} from './verify.ts'

/**
 * Bytes of the archive up to which all of it is read: some 3 million flushes of 100 keys, which is
 * a matter of minutes.
 */
export const SMALL_ARCHIVE_BYTES = 1024 ** 3

export type SampleOptions = VerifyOptions & {
  archive: LogArchive
  /** Default SMALL_ARCHIVE_BYTES. */
  smallBytes?: number
}

/**
 * Checks the database in a time that does not grow with the age of the log: every event that is in
 * the database, and a sample of the archive. Nothing is folded, because that takes all events: rows
 * of projections are not compared. While the archive is small, it checks everything instead.
 */
export async function verifySample(
  address: ServerAddress,
  { smallBytes = SMALL_ARCHIVE_BYTES, ...options }: SampleOptions,
): Promise<Report> {
  const sampled = await inSession(address, options, async (sql) =>
    (await options.archive.readBytes(sql)) > smallBytes ? checkSampled(sql, options) : null,
  )
  return sampled ?? verifyDatabase(address, options)
}

async function checkSampled(
  sql: Sql,
  { signal, archive, onProgress }: Omit<SampleOptions, 'smallBytes'>,
): Promise<Report> {
  const problems = new Problems()
  const sample = await archive.sample(sql, signal)
  problems.add(sample.problems)
  const shards = await readShards(sql)
  const total = shards.reduce((sum, { head }) => sum + head + 1, 0)
  const last = await readLastDecisions(sql, { after: -1, through: shards[0]?.head ?? -1 })
  const decided = { walked: shards[0]?.head ?? -1, last }
  let { events } = sample
  let walked = 0
  for (const { shard, head } of shards) {
    const from = await checkKept(sql, shard, head, { problems, signal }, (checked, left) => {
      events += checked
      walked += checked + left
      onProgress(walked, total)
    })
    await checkRoots(sql, shard, { problems, signal }, from)
    await transact(sql, 'isolation level repeatable read', async (transaction) => {
      problems.add(await checkTiles(transaction, shard))
      problems.add(await checkCatalogPosition(transaction, shard, decided))
      problems.add(await checkActPosition(transaction, shard, decided))
      if (shard === 0) problems.add(await new RecordedRows().compare(transaction))
    })
  }
  await checkTheRest(sql, problems)
  const heads = shards.map(({ head }) => head)
  const { count, first } = problems
  return { positions: formatPositions(heads), events, problems: count, first, sampled: true }
}

type Context = { problems: Problems; signal: AbortSignal }

/**
 * Checks the events of a shard that are in the database. Returns the position of the first of them,
 * or where the next one will be. Asks before each chunk which have left: that takes minutes.
 */
async function checkKept(
  sql: Sql,
  shard: number,
  head: number,
  { problems, signal }: Context,
  onChecked: (events: number, left: number) => void,
): Promise<number> {
  let from: number | null = null
  for (let after = -1; after < head; ) {
    signal.throwIfAborted()
    const spans = (await archiveOf(sql)?.spans(shard)) ?? []
    const left = spans.find(({ first, end }) => after + 1 >= first && after + 1 < end)
    if (left !== undefined) {
      onChecked(0, left.end - 1 - after)
      after = left.end - 1
      continue
    }
    from ??= after + 1
    const next = Math.min(...spans.flatMap(({ first }) => (first > after ? [first - 1] : [])))
    const chunk = await nextChunk(sql, shard, after, Math.min(head, next))
    await transact(sql, '', async (transaction) => {
      const previousAt = await readLastArchivedAt(transaction, shard, after + 1)
      problems.add(await checkEvents(transaction, chunk, { previousAt, prepare: true }))
      await noteIdempotencyKeys(transaction, chunk)
    })
    onChecked(chunk.through - after, 0)
    after = chunk.through
  }
  return from ?? head + 1
}

/** Returns when the last event of the archived segment that ends here was recorded, if one does. */
async function readLastArchivedAt(
  sql: Transaction,
  shard: number,
  end: number,
): Promise<string | null> {
  const [row] = await sql<{ at: string }[]>`
    select a.last_recorded_at::text as at
    from archived_segments a
    where a.shard = ${shard} and a.end_position = ${end} and a.leaving_at is not null`
  return row?.at ?? null
}
