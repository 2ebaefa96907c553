import { Database } from 'bun:sqlite'
import { existsSync } from 'node:fs'
import { SQL } from 'bun'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { openBare } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import type { Dialect, OldDatabase } from './old-books.ts'

/** Returns the kind of database at a location. Throws UserError if it can't be read. */
export function dialectOf(location: string): Dialect {
  if (/^postgres(?:ql)?:\/\//.test(location)) return 'PostgreSQL'
  if (toMysqlUrl(location) !== null) return 'MySQL'
  // The message does not repeat the location, which may have a password.
  if (!existsSync(location)) {
    throw new UserError('The database is no postgres:// or mysql:// URL, and no file that exists.')
  }
  return 'SQLite'
}

/** Returns a mysql:// URL, also for a DSN of Go, `user:password@tcp(host:port)/name`, or null. */
function toMysqlUrl(location: string): string | null {
  if (/^(?:mysql|mariadb):\/\//.test(location)) return location.replace(/^\w+/, 'mysql')
  const parts = /^([^:@/]*)(?::(.*))?@tcp\(([^)]+)\)\/([^?]*)/.exec(location)
  if (!parts) return null
  const [, user = '', password = '', host, name] = parts
  return `mysql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}/${name}`
}

/**
 * Runs `read` in one read-only snapshot of a database: everything that it reads is of the same
 * moment, and nothing can be written. Throws UserError if the database can't be read.
 */
export async function inOldSnapshot<Value>(location: string, read: Read<Value>): Promise<Value> {
  const dialect = dialectOf(location)
  try {
    return await READERS[dialect](location, read)
  } catch (error) {
    if (error instanceof UserError) throw error
    const { message, code, name } = error as Error & { code?: string }
    const isOfDatabase = ['SQLiteError', 'PostgresError', 'MySQLError'].includes(name)
    if (!isOfDatabase && !isUnavailable(error)) throw error
    throw new UserError(`The old database could not be read: ${message} (${code ?? name}).`)
  }
}

type Read<Value> = (database: OldDatabase) => Promise<Value>
type Rows = Record<string, string | null>[]

async function readPostgres<Value>(url: string, read: Read<Value>): Promise<Value> {
  const sql = openBare({ url }, { purpose: 'move-in', prepare: false })
  try {
    const value = await sql.begin('isolation level repeatable read read only', (transaction) => {
      const select = async (query: string) => [...(await transaction.unsafe<Rows>(query))]
      const columnsOf = async (table: string) => {
        const rows = await select(`
          select a.attname::text as name, format_type(a.atttypid, null) as type
          from pg_attribute a
          where a.attrelid = to_regclass(quote_ident('${table}')) and a.attnum > 0
            and not a.attisdropped`)
        return toTypes(rows)
      }
      return read({ dialect: 'PostgreSQL', select, columnsOf })
    })
    return value as Value
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** A deferred transaction of SQLite has the snapshot of its first read until it ends. */
async function readSqlite<Value>(path: string, read: Read<Value>): Promise<Value> {
  const database = new Database(path, { readonly: true })
  try {
    database.run('pragma query_only = on')
    // Milliseconds to wait while the gateway commits, as One API waits for readers.
    database.run('pragma busy_timeout = 3000')
    database.run('begin')
    const select = async (query: string) => database.query<Rows[number], []>(query).all()
    const columnsOf = async (table: string) =>
      toTypes(await select(`select name, type from pragma_table_info('${table}')`))
    return await read({ dialect: 'SQLite', select, columnsOf })
  } finally {
    database.close()
  }
}

/** The snapshot of MySQL belongs to a connection. Names are quoted as in standard SQL. */
async function readMysql<Value>(location: string, read: Read<Value>): Promise<Value> {
  const sql = new SQL(toMysqlUrl(location)!, { max: 1 })
  try {
    const connection = await sql.reserve()
    const select = async (query: string): Promise<Rows> => [...(await connection.unsafe(query))]
    await select('set session transaction isolation level repeatable read')
    await select("set session sql_mode = 'ANSI_QUOTES'")
    await select('start transaction with consistent snapshot, read only')
    const columnsOf = async (table: string) => {
      const rows = await select(`
        select column_name as name, cast(data_type as char) as type
        from information_schema.columns
        where table_schema = database() and table_name = '${table}'`)
      return toTypes(rows)
    }
    return await read({ dialect: 'MySQL', select, columnsOf })
  } finally {
    await sql.end({ timeout: 1 })
  }
}

const READERS: Record<Dialect, <Value>(location: string, read: Read<Value>) => Promise<Value>> = {
  PostgreSQL: readPostgres,
  SQLite: readSqlite,
  MySQL: readMysql,
}

const toTypes = (rows: Rows) => new Map(rows.map(({ name, type }) => [name!, type!.toLowerCase()]))
