import postgres from 'postgres'
import { INTERVALS, type Intervals } from '../intervals.ts'
import { askSeparately } from './ask-separately.ts'
import { Route } from './connection/route.ts'
import type { RequiredState } from './connection/session.ts'
import { setupStatement } from './connection/setup.ts'
import { APPLICATION, targetAt } from './connection/target.ts'
import { isConnectionLost } from './errors.ts'
import { LostSessions } from './lost-sessions.ts'

export type Sql = postgres.Sql
export type Transaction = postgres.TransactionSql
/** A piece of SQL, to be spliced into a statement. */
export type Fragment = postgres.PendingQuery<postgres.Row[]>

/** Where a PostgreSQL server is: a URL, or the socket directory of the embedded one. */
export type ServerAddress =
  | { url: string }
  | { host: string; port: number; user: string; database: string }

/** The schema that holds everything, and the role that the service has in it. */
export const SCHEMA = 'tallybook'
export const SERVICE_ROLE = 'tallybook_service'

/** Connections by purpose, so that no purpose can take those of another. */
export type Pools = {
  /** One a shard and one for catalog changes: nothing that reads can hold up an append. */
  append: Sql
  project: Sql
  /** Reads of the database itself; what may come from a replica goes through `Reads`. */
  read: Sql
  /**
   * What the others depend on and what takes a millisecond: who may come in, where the log stands,
   * whether all is well. No amount of reads or flushes holds it up.
   */
  control: Sql
  /** Who is signed in: anybody may ask. */
  session: Sql
  close(): Promise<void>
}

/**
 * Connections, however many shards there are: more at once than a server has cores gain nothing.
 */
const MAX_APPENDS = 16
const MAX_PASSES = 8

/**
 * No statement waits for a lock longer, and no transaction stays open idle: an instance that froze
 * in a pass lets go of its checkpoints by itself. What takes a lock must see what was committed
 * before it, whatever the database's default.
 */
const BOUNDS = {
  lock_timeout: inMs(INTERVALS.database.lockTimeoutMs),
  idle_in_transaction_session_timeout: '10s',
  default_transaction_isolation: 'read committed',
  // On Citus a transaction has one connection a worker then, and so one snapshot of it: a shard's
  // rows and its checkpoints are read as they stand together. Elsewhere the setting says nothing.
  'citus.max_adaptive_executor_pool_size': '1',
}

/** Of every connection that only reads. */
const READING = {
  ...BOUNDS,
  statement_timeout: '60s',
  default_transaction_read_only: 'on',
  // Every read joins by equality, which a hash does whatever the statistics. On tables that were
  // never analyzed nested loops made a sorted list of 20,000 keys take a minute.
  enable_nestloop: 'off',
  // Where there is no other way than a nested loop its cost is set beyond all bounds, and the
  // server would compile the statement: a second for each read of the past.
  jit: 'off',
}
const MAX_READS = 8
const MAX_CONTROLS = 4
const MAX_SESSIONS = 2
/** Of connections for what takes a millisecond. */
const CONTROLLING = { ...BOUNDS, lock_timeout: '1s', statement_timeout: '5s' }

/** Opens the service's pools; connections are made when they are needed. */
export function openPools(
  address: ServerAddress,
  shards: number,
  intervals: Partial<Intervals['database']> = {},
): Pools {
  const { lockTimeoutMs, silentAfterMs } = { ...INTERVALS.database, ...intervals }
  const lock_timeout = inMs(lockTimeoutMs)
  // One that answers nothing makes idle ones doubtful, which were there as long: whatever lost the
  // one may have lost them too, and each would cost who comes next the time that it takes to see.
  const lost = new LostSessions(() => openBare(address), silentAfterMs)
  const onSilent = (pid: number) => {
    for (const pool of Object.values(pools)) closeIdle(pool, silentAfterMs)
    lost.add(pid)
  }
  const serving = { role: SERVICE_ROLE, silentAfterMs, onSilent }
  const pools = {
    // If a stranger holds the lock for longer, the flushes of an append get a 503.
    append: connect(address, {
      max: Math.min(shards + 1, MAX_APPENDS),
      ...{ purpose: 'append', ...serving },
      settings: {
        ...BOUNDS,
        lock_timeout,
        statement_timeout: '30s',
      },
    }),
    // The passes of three tracks, few of which run at once.
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

/** Connections to a replica: for reads, and for looks at it, which never wait behind a read. */
export type ReplicaPools = { read: Sql; poll: Sql }

/** Opens the pools of a replica; the caller ends them. */
export function openReplicaPools(address: ServerAddress): ReplicaPools {
  const open = (purpose: string, max: number) =>
    connect(address, { purpose, max, role: SERVICE_ROLE, settings: READING })
  return { read: open('read', MAX_READS), poll: open('look', 2) }
}

/**
 * Runs a transaction: committed when `run` resolves, rolled back when it rejects.
 *
 * Where the connection is lost meanwhile there is nothing to roll back. postgres.js would try all
 * the same, write to a socket that is gone and end the process (porsager/postgres#1208): so `run`
 * is not let reject then, and `begin` rejects by itself.
 */
export async function transact<Value>(
  sql: Sql,
  options: string,
  run: (transaction: Transaction) => Promise<Value>,
): Promise<Value> {
  const value = await sql.begin(options, async (transaction) => {
    try {
      return await run(transaction)
    } catch (error) {
      if (isConnectionLost(error)) return new Promise<never>(() => {})
      throw error
    }
  })
  return value as Value
}

/** Reads in one snapshot: that of the transaction, where it is one already. */
export function inSnapshot<Value>(
  sql: Sql | Transaction,
  read: (transaction: Transaction) => Promise<Value>,
): Promise<Value> {
  if ('savepoint' in sql) return read(sql)
  return transact(sql, 'isolation level repeatable read read only', read)
}

/** One connection as the owner, for migrations; the caller ends it. */
export function connectAsOwner(address: ServerAddress): Sql {
  // On Citus tables that are spread have triggers too; elsewhere the setting says nothing.
  const settings = { 'citus.enable_unsafe_triggers': 'on' }
  return connect(address, { purpose: 'owner', max: 1, role: null, settings })
}

/**
 * One connection as the service's role, with settings of its own; the caller ends it. `onNotify` is
 * told what comes on the channels that the connection listens to.
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

/** As PostgreSQL reads a duration. */
function inMs(ms: number): string {
  return `${ms}ms`
}

/** A time given as text goes as it is: the driver's own way rounds it to milliseconds. */
const TIME = {
  to: 1184,
  from: [],
  serialize: (time: Date | string) => (time instanceof Date ? time.toISOString() : time),
  parse: String,
}

/**
 * True where the server works on what a connection has asked, as another connection is told; false
 * where that isn't answered either. A server that waits for its client is active too where that has
 * only asked what a statement would return: the answer to this was lost.
 */
async function isWorkingOn(address: ServerAddress, pid: number, ms: number): Promise<boolean> {
  const ask = (sql: Sql) => sql`
    select from pg_stat_activity a
    where a.pid = ${pid} and a.state = 'active'
      and a.wait_event_type is distinct from 'Client'`
  const rows = await askSeparately(openBare(address, { connect_timeout: 3 }), ms, ask)
  return rows !== null && rows.length > 0
}

/** Closes the connections of a pool that have been idle for so long (patches/). */
function closeIdle(pool: Sql, ms: number): void {
  ;(pool as Sql & { closeIdle(ms: number): void }).closeIdle(ms)
}

function connect(
  address: ServerAddress,
  options: {
    /** The purpose of its connections: `pg_stat_activity` shows it behind the service's name. */
    purpose: string
    max: number
    role: string | null
    settings: Record<string, string>
    /** INTERVALS by default. */
    silentAfterMs?: number
    /** Told when one of its connections is given up that answered nothing, and whose it was. */
    onSilent?: (pid: number) => void
    onNotify?: (channel: string, payload: string) => void
  },
): Sql {
  const { silentAfterMs = INTERVALS.database.silentAfterMs } = options
  const role = options.role === null ? {} : { role: options.role }
  const common = {
    ...{ purpose: options.purpose, max: options.max },
    // What the driver does to read the array types sets the session up, too (patches/).
    fetch_types: true,
    setup: setupStatement({ search_path: SCHEMA, ...options.settings, ...role }),
    silence: silentAfterMs,
    onsilence: async (pid: number) => {
      const isWorking = await isWorkingOn(address, pid, silentAfterMs)
      if (!isWorking) options.onSilent?.(pid)
      return isWorking
    },
    types: { time: TIME },
    // Seconds before the k-th attempt to connect again: a restarted server is back at once.
    backoff: (attempt: number) => Math.min(0.05 * attempt, 1),
    onnotice: () => {},
    // The driver's types don't know it; its own `listen` is lost when the database is away.
    onnotify: options.onNotify,
  }
  const isDurable = !('synchronous_commit' in options.settings)
  return open(address, { role: options.role, path: SCHEMA, isDurable }, common)
}

/** One connection whose session is as it comes; the caller ends it. */
export function openBare(address: ServerAddress, options: Record<string, unknown> = {}): Sql {
  return open(address, null, { max: 1, fetch_types: false, onnotice: () => {}, ...options })
}

/** As the driver opens a pool; with options of the patch (patches/), which its types don't know. */
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
    // The route knows which server.
    ...{ host: 'database', port: 5432, user, password, database },
    ...{ ssl: false, connect_timeout: connectTimeoutMs / 1000, keep_alive: keepAliveSeconds ?? 0 },
    // Nothing of ours: poolers refuse what they don't know, or leave it out without a word.
    connection: { ...startup, application_name },
    route: () => new Route(target, required),
  }
  return postgres({ ...known, ...options })
}
