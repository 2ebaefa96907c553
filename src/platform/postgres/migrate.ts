import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '../user-error.ts'
import { completeDistribution, refuseWorker } from './citus/distribute.ts'
import { isLockTimeout, isMissingSchema } from './errors.ts'
import { refreshNameOrder } from './names.ts'
import { SCHEMA, type Sql, type Transaction, transact } from './pool.ts'
import { grantAll, lacksPrivileges, makeServiceRole } from './privileges.ts'

const SQL_FOLDER = join(import.meta.dir, '../../../sql')

/** Any number: the advisory lock that two starting services queue at. */
const MIGRATION_LOCK = 7_365_001

/**
 * Milliseconds that a migration waits for a lock on a table, as behind it wait the appends of the
 * instances that run; then it lets go, and tries again as a whole after the pause. An append waits
 * for 5 s.
 */
const LOCK_MS = 2_000
const LOCK_TRIES = 60
const PAUSE_MS = 1_000

type Migration = { number: number; name: string; text: string; sha256: string }

/** The database was made with another number of shards. */
export class ShardsDiffer extends UserError {
  override name = 'ShardsDiffer'

  constructor(
    readonly made: number,
    wanted: number,
  ) {
    super(
      `The database was made with ${made} shard(s) and TALLYBOOK_SHARDS is ${wanted}. ` +
        `The number can't change in place: start with TALLYBOOK_SHARDS=${made}, or move the log ` +
        'to a database of another number (docs/scale.md).',
    )
  }
}

/**
 * Brings the database to this version's schema, in one transaction under a lock, and makes the
 * shards on the first run. Any number of services may start at once. Functions and views are
 * replaced whenever a numbered migration is applied, so a change of one comes with a new number.
 * Where the tables are spread over Citus' workers, what is new is too.
 *
 * Throws UserError where the database belongs to a newer version, to a changed past, or has
 * another number of shards.
 */
export async function migrate(owner: Sql, shards: number): Promise<void> {
  await checkEncoding(owner)
  await refuseWorker(owner)
  const migrations = await readMigrations()
  const applied = await readApplied(owner)
  if (pending(migrations, applied).length > 0) {
    await whenUnlocked(() =>
      transact(owner, '', (transaction) => applyMigrations(transaction, migrations, shards)),
    )
  }
  await restorePrivileges(owner)
  await whenUnlocked(() => refreshNameOrder(owner))
  await checkShards(owner, shards)
  await completeDistribution(owner, shards)
}

/** A dump has no roles, and may have no grants: after a restore they are made again. */
async function restorePrivileges(owner: Sql): Promise<void> {
  if (!(await lacksPrivileges(owner))) return
  await transact(owner, '', async (transaction) => {
    await transaction`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
    await makeServiceRole(transaction)
    await grantAll(transaction)
  })
}

/**
 * Throws UserError where the database doesn't have this version's schema: for who reads a database
 * that a running service of maybe another version migrates.
 */
export async function checkSchema(owner: Sql): Promise<void> {
  if (pending(await readMigrations(), await readApplied(owner)).length === 0) {
    return restorePrivileges(owner)
  }
  throw new UserError(
    "The database of the running service doesn't have this version's schema: the service is just " +
      'starting, or is an older version. Try again, or restart it with this version.',
  )
}

async function applyMigrations(
  transaction: Transaction,
  migrations: Migration[],
  shards: number,
): Promise<void> {
  await transaction`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
  await transaction.unsafe(`create schema if not exists ${SCHEMA}`)
  await transaction.unsafe(`set local search_path = ${SCHEMA}`)
  // On Citus many statements in one transaction need it; elsewhere it says nothing.
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

  await transaction.unsafe(`set local lock_timeout = ${LOCK_MS}`)
  await makeServiceRole(transaction)
  await runFolder(transaction, 'functions')
  for (const { number, name, text, sha256 } of todo) {
    await transaction.unsafe(text)
    await transaction`
      insert into migrations (number, name, sha256) values (${number}, ${name}, ${sha256})`
  }
  await runFolder(transaction, 'views')
  await grantAll(transaction)

  if (applied.length === 0) {
    const rows = Array.from({ length: shards }, (_, shard) => ({ shard, catalog_position: -1 }))
    await transaction`insert into shards ${transaction(rows)}`
  }
}

/** Tries again where a lock was not had in time: somebody reads or works on a table for long. */
async function whenUnlocked(run: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if (!isLockTimeout(error)) throw error
      if (tries === LOCK_TRIES) {
        throw new UserError(
          "The database can't be migrated: other sessions hold locks on its tables for too long. " +
            'See pg_stat_activity for transactions that are open for minutes.',
          { cause: error },
        )
      }
    }
    await Bun.sleep(PAUSE_MS)
  }
}

async function runFolder(transaction: Transaction, folder: string): Promise<void> {
  for (const file of (await readdir(join(SQL_FOLDER, folder))).sort()) {
    await transaction.unsafe(await readFile(join(SQL_FOLDER, folder, file), 'utf8'))
  }
}

async function checkEncoding(owner: Sql): Promise<void> {
  const [row] = await owner`select current_setting('server_encoding') as encoding`
  if (row!.encoding !== 'UTF8') {
    throw new UserError(
      `The database has the encoding ${row!.encoding}; Tallybook needs one with UTF8.`,
    )
  }
}

async function checkShards(owner: Sql, shards: number): Promise<void> {
  const [row] = await owner`select count(*)::int as shards from shards`
  if (row!.shards !== shards) {
    throw new ShardsDiffer(row!.shards, shards)
  }
}

/**
 * The migrations not applied yet, after a check that what was applied is this version's own past.
 */
function pending(
  migrations: Migration[],
  applied: { number: number; sha256: string }[],
): Migration[] {
  const byNumber = new Map(migrations.map((migration) => [migration.number, migration]))
  for (const { number, sha256 } of applied) {
    const known = byNumber.get(number)
    if (!known) {
      throw new UserError(
        `The database has migration ${number}, which this version doesn't know: start a newer one.`,
      )
    }
    if (known.sha256 !== sha256) {
      throw new UserError(`Migration ${number} (${known.name}) was applied with another text.`)
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

/** The numbered migrations of this version, in order. */
export async function readMigrations(): Promise<Migration[]> {
  const files = (await readdir(SQL_FOLDER)).filter((file) => /^\d{4}-.*\.sql$/.test(file)).sort()
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(SQL_FOLDER, file), 'utf8')
      const sha256 = createHash('sha256').update(text).digest('hex')
      return { number: Number(file.slice(0, 4)), name: file.slice(5, -4), text, sha256 }
    }),
  )
}
