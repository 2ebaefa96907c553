import postgres from 'postgres'
import { INTERVALS, type Intervals } from '../intervals.ts'
import { askSeparately } from './ask-separately.ts'
import { countLostResults, LostResults } from './citus/lost-results.ts'
import { Route } from './connection/route.ts'
import type { RequiredState } from './connection/session.ts'
import { setupStatement } from './connection/setup.ts'
import { APPLICATION, targetAt } from './connection/target.ts'
import { TemporarilyUnavailable } from './errors.ts'
import { LostSessions } from './lost-sessions.ts'
import type { ServerAddress, Sql, Transaction } from './sql.ts'

export type { Fragment, ServerAddress, Sql, Transaction } from './sql.ts'

/** The schema that holds everything, and the role that the service uses in it. */
export const SCHEMA = 'tallybook'
export const SERVICE_ROLE = 'tallybook_service'

/** Connections by purpose, so that no purpose can use up the connections of another. */
export type Pools = {
  /** One connection per shard and one for catalog changes, so that reads can't delay an append. */
  append: Sql
  /** Background work: the projector's batches, tree heads and verification. */
  project: Sql
  /** Reads from the primary. Reads that a replica may answer go through `Reads`. */
  read: Sql
  /**
   * Millisecond queries that everything else depends on: authentication, positions of the log,
   * health. No amount of reads or flushes can delay them.
   */
  control: Sql
  /** Console sessions. They have their own pool because unauthenticated clients can cause reads. */
  session: Sql
  close(): Promise<void>
}

/** Limits whatever the number of shards: more connections than server cores gain nothing. */
const MAX_APPENDS = 16
const MAX_PASSES = 8

/**
 * These limits bound how long a statement waits for a lock and how long a transaction stays idle,
 * so that an instance that freezes in the middle of a batch releases its checkpoints. The isolation
 * level is fixed because a statement that takes a lock must see what was committed before it.
 */
const BOUNDS = {
  lock_timeout: inMs(INTERVALS.database.lockTimeoutMs),
  idle_in_transaction_session_timeout: '10s',
  default_transaction_isolation: 'read committed',
  // A statement over many partitions looks expensive to the planner, but is short: with JIT, the
  // heads of a log of 365 segments took 135 ms.
  jit: 'off',
  // On Citus this gives a transaction one connection per worker, and so one snapshot of it: a
  // shard's rows and checkpoints are read consistently. Without Citus the setting has no effect.
  'citus.max_adaptive_executor_pool_size': '1',
}

/** Settings of every connection that only reads. */
const READING = {
  ...BOUNDS,
  statement_timeout: '60s',
  default_transaction_read_only: 'on',
  // Every read joins by equality, for which a hash join is fast whatever the statistics. On tables
  // that were never analyzed, nested loops made a sorted list of 20,000 keys take a minute.
  enable_nestloop: 'off',
}
const MAX_READS = 8
const MAX_CONTROLS = 4
const MAX_SESSIONS = 2
const MAX_LOADS = 4
/** Settings of connections for millisecond queries. */
const CONTROLLING = { ...BOUNDS, lock_timeout: '1s', statement_timeout: '5s' }

/** Opens the service's pools. Connections are made when they are first needed. */
export function openPools(
  address: ServerAddress,
  shards: number,
  intervals: Partial<Intervals['database']> = {},
): Pools {
  const { lockTimeoutMs, silentAfterMs } = { ...INTERVALS.database, ...intervals }
  const lock_timeout = inMs(lockTimeoutMs)
  // If one connection stops answering, idle ones of the same age are suspect too: the same failure
  // may have cut them, and each would delay its next user until the silence is noticed.
  const lost = new LostSessions(() => openBare(address), silentAfterMs)
  const onSilent = (pid: number) => {
    for (const pool of Object.values(pools)) closeIdle(pool, silentAfterMs)
    lost.add(pid)
  }
  const serving = { role: SERVICE_ROLE, silentAfterMs, onSilent }
  const pools = {
    // If another session holds the lock for longer, the flushes of an append get a 503.
    append: connect(address, {
      max: Math.min(shards + 1, MAX_APPENDS),
      ...{ purpose: 'append', ...serving },
      settings: {
        ...BOUNDS,
        lock_timeout,
        statement_timeout: '30s',
      },
    }),
    // Batches of three projection groups, few of which run at once.
    project: connect(address, {
      max: Math.min(2 * shards + 2, MAX_PASSES),
      ...{ purpose: 'project', ...serving },
      settings: { ...BOUNDS, lock_timeout },
    }),
    read: connect(address, {
      ...{ purpose: 'read', ...serving, max: MAX_READS, settings: READING },
    }),
    control: connect(address, {
      ...{ purpose: 'control', ...serving, max: MAX_CONTROLS, settings: CONTROLLING },
    }),
    session: connect(address, {
      ...{ purpose: 'session', ...serving, max: MAX_SESSIONS, settings: CONTROLLING },
    }),
  }
  return {
    ...pools,
    close: async () => {
      lost.close()
      await Promise.all(Object.values(pools).map((pool) => pool.end({ timeout: 1 })))
    },
  }
}

/** Connections to a replica: for reads, and for polling it, which never waits behind a read. */
export type ReplicaPools = { read: Sql; poll: Sql }

/** Opens the pools of a replica. The caller ends them. */
export function openReplicaPools(address: ServerAddress): ReplicaPools {
  const open = (purpose: string, max: number) =>
    connect(address, { purpose, max, role: SERVICE_ROLE, settings: READING })
  return { read: open('read', MAX_READS), poll: open('look', 2) }
}

/**
 * Opens connections for transactions that hide the log behind a temporary table. They prepare no
 * statements: a prepared one would keep the table that it was planned for. The caller ends it.
 */
export function openLoading(address: ServerAddress): Sql {
  // Statements that only read; but creating a table is none.
  const { default_transaction_read_only: _, ...settings } = READING
  const options = { purpose: 'archive', max: MAX_LOADS, role: SERVICE_ROLE, settings }
  return connect(address, { ...options, prepare: false })
}

/**
 * Runs a transaction: commits if `run` resolves, rolls back if it rejects. Rejects at once if the
 * connection is lost; what `run` sends after that is rejected, too (see patches/). Throws
 * TemporarilyUnavailable if Citus has lost a result meanwhile, perhaps one of this transaction.
 */
export async function transact<Value>(
  sql: Sql,
  options: string,
  run: (transaction: Transaction) => Promise<Value>,
): Promise<Value> {
  const value = await sql.begin(options, async (transaction) => {
    poolsOfTransactions.set(transaction, sql)
    const lost = countLostResults(sql)
    const made = await run(transaction)
    if (countLostResults(sql) !== lost) throw new TemporarilyUnavailable('database unavailable')
    return made
  })
  return value as Value
}

const poolsOfTransactions = new WeakMap<Transaction, Sql>()

/** Returns the pool of a transaction that `transact` has begun, and every other pool itself. */
export const poolOf = (sql: Sql | Transaction): Sql =>
  poolsOfTransactions.get(sql as Transaction) ?? (sql as Sql)

/** Reads in one snapshot. If `sql` is a transaction already, reads in that one. */
export function inSnapshot<Value>(
  sql: Sql | Transaction,
  read: (transaction: Transaction) => Promise<Value>,
): Promise<Value> {
  if ('savepoint' in sql) return read(sql)
  return transact(sql, 'isolation level repeatable read read only', read)
}

/** Opens one connection as the owner, for migrations. The caller ends it. */
export function connectAsOwner(address: ServerAddress): Sql {
  // On Citus this allows triggers on distributed tables; without Citus it has no effect.
  const settings = { 'citus.enable_unsafe_triggers': 'on' }
  return connect(address, { purpose: 'owner', max: 1, role: null, settings })
}

/**
 * Opens one connection as the service's role, with additional settings. The caller ends it.
 * `onNotify` is called for each notification on the channels that the connection listens to.
 */
export function connectAsService(
  address: ServerAddress,
  purpose: string,
  settings: Record<string, string> = {},
  onNotify: (channel: string, payload: string) => void = () => {},
): Sql {
  const all = { ...BOUNDS, ...settings }
  return connect(address, { purpose, max: 1, role: SERVICE_ROLE, settings: all, onNotify })
}

/** Formats a duration for a PostgreSQL setting. */
function inMs(ms: number): string {
  return `${ms}ms`
}

/** Sends a time given as text unchanged; the driver's own type rounds it to milliseconds. */
const TIME = {
  to: 1184,
  from: [],
  serialize: (time: Date | string) => (time instanceof Date ? time.toISOString() : time),
  parse: String,
}

/**
 * Asks the server, on another connection, if it is still working on the statement of a connection.
 * Returns false if that isn't answered either. A session that waits for its client doesn't count:
 * it is also active after a request to describe a statement, whose answer was then lost.
 */
async function isWorkingOn(address: ServerAddress, pid: number, ms: number): Promise<boolean> {
  const ask = (sql: Sql) => sql`
    select from pg_stat_activity a
    where a.pid = ${pid} and a.state = 'active'
      and a.wait_event_type is distinct from 'Client'`
  const rows = await askSeparately(openBare(address, { connect_timeout: 3 }), ms, ask)
  return rows !== null && rows.length > 0
}

/** Closes the connections of a pool that have been idle for at least `ms` (see patches/). */
function closeIdle(pool: Sql, ms: number): void {
  ;(pool as Sql & { closeIdle(ms: number): void }).closeIdle(ms)
}

function connect(
  address: ServerAddress,
  options: {
    /** The purpose of the connections; `pg_stat_activity` shows it after the service's name. */
    purpose: string
    max: number
    role: string | null
    settings: Record<string, string>
    /** False to send the text of a statement each time. */
    prepare?: boolean
    /** Defaults to INTERVALS. */
    silentAfterMs?: number
    /** Called when a silent connection is closed, with the pid of its server process. */
    onSilent?: (pid: number) => void
    onNotify?: (channel: string, payload: string) => void
  },
): Sql {
  const { silentAfterMs = INTERVALS.database.silentAfterMs } = options
  const role = options.role === null ? {} : { role: options.role }
  const lostResults = new LostResults()
  const common = {
    ...{ purpose: options.purpose, max: options.max, prepare: options.prepare ?? true },
    // The driver's query for array types is replaced by one that also sets up the session
    // (see patches/).
    fetch_types: true,
    setup: setupStatement({ search_path: SCHEMA, ...options.settings, ...role }),
    silence: silentAfterMs,
    onsilence: (pid: number) => isWorkingOn(address, pid, silentAfterMs),
    // Not called if the answer has arrived while the server was asked.
    ongivenup: (pid: number) => options.onSilent?.(pid),
    types: { time: TIME },
    // Seconds before the k-th attempt to reconnect. They start low: a restart takes little time.
    backoff: (attempt: number) => Math.min(0.05 * attempt, 1),
    onnotice: (notice: { message?: string }) => lostResults.note(notice),
    // Not in the driver's types. The driver's own `listen` is lost while the database is down.
    onnotify: options.onNotify,
  }
  const isDurable = !('synchronous_commit' in options.settings)
  return lostResults.watch(open(address, { role: options.role, path: SCHEMA, isDurable }, common))
}

/** Opens one connection without setting up its session. The caller ends it. */
export function openBare(address: ServerAddress, options: Record<string, unknown> = {}): Sql {
  return open(address, null, { max: 1, fetch_types: false, onnotice: () => {}, ...options })
}

/** Opens a pool with options of the patch (see patches/), which the driver's types lack. */
function open(
  address: ServerAddress,
  required: RequiredState | null,
  { purpose = '', ...options }: Record<string, unknown>,
): Sql {
  const target = targetAt(address)
  const { user, password, database, connectTimeoutMs, keepAliveSeconds, startup } = target
  const { application_name: given = APPLICATION } = startup
  const application_name = given === APPLICATION ? `${APPLICATION} ${purpose}`.trim() : given
  const known = {
    // Placeholders: the route chooses the server.
    ...{ host: 'database', port: 5432, user, password, database },
    ...{ ssl: false, connect_timeout: connectTimeoutMs / 1000, keep_alive: keepAliveSeconds ?? 0 },
    // None of our settings: poolers refuse parameters that they don't know, or drop them silently.
    connection: { ...startup, application_name },
    route: () => new Route(target, required),
  }
  return postgres({ ...known, ...options })
}
