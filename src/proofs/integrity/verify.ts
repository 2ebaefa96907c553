import { formatPositions } from '../../events/positions.ts'
import { ArchiveUnavailable } from '../../log/archived.ts'
import type { ServerAddress, Sql } from '../../platform/postgres/pool.ts'
import { checkCheckpoints } from './checkpoints.ts'
import { finishShard } from './finish.ts'
import { CHECKED_PROJECTIONS } from './groups/index.ts'
import { checkIdempotencyKeys } from './idempotency.ts'
import { checkOwners } from './owners.ts'
import { checkPackedKeys } from './packed-keys.ts'
import { checkParkedShards } from './parked.ts'
import { type Problem, Problems } from './problem.ts'
import { checkRoots } from './roots.ts'
import { checkMigrations, checkTokens, checkVerifications } from './rows.ts'
import { checkSegments } from './segments.ts'
import { openSession } from './session.ts'
import { checkShards, type Shard0Walk } from './shards.ts'
import { Walk } from './walk.ts'

/** The result of a verification. */
export type Report = {
  /** The positions through which events were checked, as in Tallybook-Position. */
  positions: string
  events: number
  /** The number of all problems; `first` has the first of them. */
  problems: number
  first: Problem[]
  /** True if it was a sample; see `verifySample`. */
  sampled?: true
}

/** What a sample of the archive has: how many events were read, and what is wrong. */
export type ArchiveSample = { events: number; problems: Problem[] }

export type VerifyOptions = {
  signal: AbortSignal
  onProgress: (checked: number, events: number) => void
  /** The archive; nothing has left the database if it is absent. */
  archive?: LogArchive
}

/** The archive of a log, as a verification uses it. */
export type LogArchive = {
  /** Makes reads on a connection find what is in the archive. Returns what ends that. */
  attach(sql: Sql): () => Promise<void>
  /** Checks the list of archived segments against the files. */
  check(sql: Sql): Promise<Problem[]>
  /** Returns the size of all files. */
  readBytes(sql: Sql): Promise<number>
  /** Checks some of the files: others each night, and a bounded number of events. */
  sample(sql: Sql, signal: AbortSignal): Promise<ArchiveSample>
}

/**
 * Checks the whole database while it is in use. Problems are values; an exception means that it
 * could not be checked.
 */
export function verifyDatabase(address: ServerAddress, options: VerifyOptions): Promise<Report> {
  return inSession(address, options, (sql) => checkAll(sql, options))
}

/**
 * Runs checks on a connection for one verification, whose reads find what is in the archive. An
 * abort cancels the statement that runs.
 */
export async function inSession<Value>(
  address: ServerAddress,
  { signal, archive }: VerifyOptions,
  check: (sql: Sql) => Promise<Value>,
): Promise<Value> {
  signal.throwIfAborted()
  const { sql, cancel } = await openSession(address)
  const detach = archive?.attach(sql)
  signal.addEventListener('abort', cancel)
  try {
    return await check(sql)
  } catch (error) {
    // A cancelled statement fails, but the reason of the abort is more useful.
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', cancel)
    await detach?.()
    await sql.end({ timeout: 1 })
  }
}

async function checkAll(sql: Sql, { signal, onProgress, archive }: VerifyOptions): Promise<Report> {
  const problems = new Problems()
  const shards = await readShards(sql)
  const total = shards.reduce((sum, { head }) => sum + head + 1, 0)
  let events = 0
  // Shard 0 comes first: it has the catalog's changes.
  let catalog: Shard0Walk = { walked: -1, last: { change: -1, act: -1 } }
  let isComplete = true
  problems.add((await archive?.check(sql)) ?? [])
  for (const { shard, head } of shards) {
    try {
      const walk = new Walk(sql, shard, { problems, signal })
      await walk.check(head, (checked) => {
        events += checked
        onProgress(events, total)
      })
      await walk.catchUp()
      if (shard === 0) catalog = { walked: head, last: walk.last }
      await finishShard(sql, walk, catalog, problems)
    } catch (error) {
      if (!(error instanceof ArchiveUnavailable)) throw error
      // The events behind it can be neither folded nor compared.
      problems.add([unreadable(shard, error)])
      isComplete = false
    }
    await checkRoots(sql, shard, { problems, signal })
  }
  await checkTheRest(sql, problems)
  if (isComplete) problems.add(await checkPackedKeys(sql, shards))
  const heads = shards.map(({ head }) => head)
  const { count, first } = problems
  return { positions: formatPositions(heads), events, problems: count, first }
}

/** The problem of a shard whose log could not be read to its end. */
const unreadable = (shard: number, { detail }: ArchiveUnavailable): Problem => ({
  ...{ check: 'archive', at: `events ${shard}`, expected: 'events that can be read' },
  found: detail ?? 'the archive is unavailable',
})

/** Runs the checks that need no walk over the log. */
export async function checkTheRest(sql: Sql, problems: Problems): Promise<void> {
  problems.add(await checkIdempotencyKeys(sql))
  problems.add(await checkShards(sql))
  problems.add(await checkSegments(sql))
  problems.add(await checkCheckpoints(sql, CHECKED_PROJECTIONS))
  for (const { projection, tables } of CHECKED_PROJECTIONS) {
    for (const table of tables) problems.add(await checkOwners(sql, projection, table))
  }
  problems.add(await checkParkedShards(sql))
  problems.add(await checkTokens(sql))
  problems.add(await checkMigrations(sql))
  problems.add(await checkVerifications(sql))
}

/** Reads the shards and their heads, in order. */
export async function readShards(sql: Sql): Promise<{ shard: number; head: number }[]> {
  const rows = await sql<{ shard: number; head: string }[]>`
    select s.shard,
      coalesce((select max(e.position) from events e where e.shard = s.shard), -1) as head
    from shards s
    order by s.shard`
  return rows.map(({ shard, head }) => ({ shard, head: Number(head) }))
}
