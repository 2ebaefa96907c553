import { createHash } from 'node:crypto'
import { listShipped, readShipped } from '../shipped/files.ts'
import { UserError } from '../user-error.ts'
import { boundLog, SEGMENTS_MIGRATION } from './bound-log.ts'
import { completeDistribution, refuseWorker } from './citus/distribute.ts'
import { isDeadlock, isLockTimeout, isMissingSchema } from './errors.ts'
import { createFirstSegments, SEGMENT_BYTES } from './first-segments.ts'
import { lockTables } from './lock-tables.ts'
import { refreshNameOrder } from './names.ts'
import { SCHEMA, type Sql, type Transaction, transact } from './pool.ts'
import { grantAll, lacksPrivileges, makeServiceRole } from './privileges.ts'

/** An arbitrary number: the advisory lock that serializes migrations of starting services. */
const MIGRATION_LOCK = 7_365_001

/**
 * How long (ms) a migration waits for table locks. Statements of running instances queue behind it,
 * each for 5 s at most. So it rolls back in time, and starts over after a pause. It waits for less
 * than a second (see `lockTables`), and for two only at each tenth try: after one second PostgreSQL
 * ends an autovacuum that is in the way.
 */
const LOCK_MS = 700
const LONG_LOCK_MS = 2_000
const LONG_EVERY = 10
/** Three minutes. */
const LOCK_TRIES = 100
const PAUSE_MS = 1_000

type Migration = { number: number; name: string; text: string; sha256: string }

/** Thrown if the database was created with another number of shards. */
export class ShardsDiffer extends UserError {
  override name = 'ShardsDiffer'

  constructor(
    readonly made: number,
    wanted: number,
  ) {
    super(
      `The database was created with ${made} shard(s), but TALLYBOOK_SHARDS is ${wanted}. ` +
        "The number of shards can't be changed in place: start with " +
        `TALLYBOOK_SHARDS=${made}, or move the log to a new database (docs/guides/resharding.md).`,
    )
  }
}

/**
 * Migrates the database to this version's schema, in one transaction under a lock, and creates the
 * shards on the first run. Any number of services may start at once. Functions and views are
 * replaced whenever a numbered migration is applied, so a change to one needs a new number. If the
 * tables are distributed on Citus, new tables are distributed too. Creates the first segments of
 * the log, of some `segmentBytes` each.
 *
 * Throws UserError if the database was migrated by a newer version, if an applied migration has
 * changed since, or if the database has another number of shards.
 */
export async function migrate(
  owner: Sql,
  shards: number,
  segmentBytes = SEGMENT_BYTES,
): Promise<void> {
  await checkEncoding(owner)
  await refuseWorker(owner)
  const migrations = readMigrations()
  const applied = await readApplied(owner)
  const todo = pending(migrations, applied)
  if (todo.length > 0) {
    if (applied.length > 0 && todo.some(({ number }) => number === SEGMENTS_MIGRATION)) {
      await whenUnlocked((lockMs) => boundLog(owner, MIGRATION_LOCK, lockMs))
    }
    await whenUnlocked((lockMs) =>
      transact(owner, '', (transaction) =>
        applyMigrations(transaction, migrations, shards, lockMs),
      ),
    )
  }
  await restorePrivileges(owner)
  await whenUnlocked(() => refreshNameOrder(owner))
  await checkShards(owner, shards)
  await createFirstSegments(owner, segmentBytes)
  await completeDistribution(owner, shards)
}

/** Recreates roles and grants after a restore: a dump has no roles and may have no grants. */
async function restorePrivileges(owner: Sql): Promise<void> {
  if (!(await lacksPrivileges(owner))) return
  await transact(owner, '', async (transaction) => {
    await transaction`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
    await makeServiceRole(transaction)
    await grantAll(transaction)
  })
}

/**
 * Throws UserError if the database doesn't have this version's schema. For commands that read the
 * database of a running service, which may be of another version and owns the migrations.
 */
export async function checkSchema(owner: Sql): Promise<void> {
  if (pending(readMigrations(), await readApplied(owner)).length === 0) {
    return restorePrivileges(owner)
  }
  throw new UserError(
    "The database of the running service doesn't have this version's schema: the service is " +
      'either still starting or an older version. Try again, or restart it with this version.',
  )
}

async function applyMigrations(
  transaction: Transaction,
  migrations: Migration[],
  shards: number,
  lockMs: number,
): Promise<void> {
  await transaction`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
  await transaction.unsafe(`create schema if not exists ${SCHEMA}`)
  await transaction.unsafe(`set local search_path = ${SCHEMA}`)
  // Citus requires this for many statements in one transaction; without Citus it has no effect.
  await transaction.unsafe(`set local citus.multi_shard_modify_mode = 'sequential'`)
  await transaction`
    create table if not exists migrations (
      number integer primary key,
      name text not null,
      sha256 text not null,
      applied_at timestamptz not null default now()
    )`
  const applied = await readApplied(transaction)
  const todo = pending(migrations, applied)
  if (todo.length === 0) return

  await makeServiceRole(transaction)
  await runFolder(transaction, 'sql/functions')
  const texts = todo.map(({ text }) => text)
  await lockTables(transaction, texts, lockMs)
  await transaction.unsafe(`set local lock_timeout = ${LONG_LOCK_MS}`)
  for (const { number, name, text, sha256 } of todo) {
    await transaction.unsafe(text)
    await transaction`
      insert into migrations (number, name, sha256) values (${number}, ${name}, ${sha256})`
  }
  await runFolder(transaction, 'sql/views')
  await grantAll(transaction)

  if (applied.length === 0) {
    const rows = Array.from({ length: shards }, (_, shard) => ({ shard, catalog_position: -1 }))
    await transaction`insert into shards ${transaction(rows)}`
  }
}

/** Retries after a lock timeout or a deadlock: other sessions are using the tables. */
async function whenUnlocked(run: (lockMs: number) => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await run(tries % LONG_EVERY === 0 ? LONG_LOCK_MS : LOCK_MS)
    } catch (error) {
      if (!isLockTimeout(error) && !isDeadlock(error)) throw error
      if (tries === LOCK_TRIES) {
        throw new UserError(
          "The database can't be migrated: other sessions hold locks on its tables for too long. " +
            'End transactions that are open for minutes (see pg_stat_activity), and try again.',
          { cause: error },
        )
      }
    }
    await Bun.sleep(PAUSE_MS)
  }
}

async function runFolder(transaction: Transaction, folder: string): Promise<void> {
  for (const file of listShipped(folder)) {
    await transaction.unsafe(readShipped(`${folder}/${file}`))
  }
}

async function checkEncoding(owner: Sql): Promise<void> {
  const [row] = await owner`select current_setting('server_encoding') as encoding`
  if (row!.encoding !== 'UTF8') {
    throw new UserError(
      `The database has the encoding ${row!.encoding}, but Tallybook requires UTF8. ` +
        'Create a database with the encoding UTF8 and use that one.',
    )
  }
}

async function checkShards(owner: Sql, shards: number): Promise<void> {
  const [row] = await owner`select count(*)::int as shards from shards`
  if (row!.shards !== shards) {
    throw new ShardsDiffer(row!.shards, shards)
  }
}

/** Returns the migrations not applied yet. Throws UserError if an applied one isn't ours. */
function pending(
  migrations: Migration[],
  applied: { number: number; sha256: string }[],
): Migration[] {
  const byNumber = new Map(migrations.map((migration) => [migration.number, migration]))
  for (const { number, sha256 } of applied) {
    const known = byNumber.get(number)
    if (!known) {
      throw new UserError(
        `The database has migration ${number}, which this version doesn't know: ` +
          'start a newer version.',
      )
    }
    if (known.sha256 !== sha256) {
      throw new UserError(
        `Migration ${number} (${known.name}) was applied with a different text: start the ` +
          'version that applied it.',
      )
    }
    byNumber.delete(number)
  }
  return [...byNumber.values()]
}

async function readApplied(sql: Sql | Transaction): Promise<{ number: number; sha256: string }[]> {
  try {
    return await sql<{ number: number; sha256: string }[]>`
      select number, sha256 from migrations order by number`
  } catch (error) {
    if (isMissingSchema(error)) return []
    throw error
  }
}

/** Reads the numbered migrations of this version, in order. */
export function readMigrations(): Migration[] {
  const files = listShipped('sql').filter((file) => /^\d{4}-.*\.sql$/.test(file))
  return files.map((file) => {
    const text = readShipped(`sql/${file}`)
    const sha256 = createHash('sha256').update(text).digest('hex')
    return { number: Number(file.slice(0, 4)), name: file.slice(5, -4), text, sha256 }
  })
}
