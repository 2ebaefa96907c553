import { Database } from 'bun:sqlite'
import { existsSync } from 'node:fs'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { openBare } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import type { Dialect, OldDatabase } from './old-books.ts'

/** Returns the kind of database at a location. Throws UserError if it can't be read. */
export function dialectOf(location: string): Dialect {
  if (/^postgres(?:ql)?:\/\//.test(location)) return 'PostgreSQL'
  if (/^(?:mysql|mariadb):\/\/|@(?:tcp|unix)\(/i.test(location)) throw new UserError(NO_MYSQL)
  if (/^\w+:\/\//.test(location)) {
    throw new UserError('The database must be a postgres:// URL or the file of a SQLite database.')
  }
  if (!existsSync(location)) throw new UserError(`There is no file ${location}.`)
  return 'SQLite'
}

const NO_MYSQL =
  'A MySQL database cannot be read. Copy its tables to PostgreSQL or SQLite (pgloader and ' +
  'mysql2sqlite do), and name the copy.'

/**
 * Runs `read` in one read-only snapshot of a database: everything that it reads is of the same
 * moment, and nothing can be written. Throws UserError if the database can't be read.
 */
export async function inOldSnapshot<Value>(
  location: string,
  read: (database: OldDatabase) => Promise<Value>,
): Promise<Value> {
  const dialect = dialectOf(location)
  try {
    return dialect === 'SQLite' ? await readFile(location, read) : await readServer(location, read)
  } catch (error) {
    if (error instanceof UserError) throw error
    const { message, code, name } = error as Error & { code?: string }
    const isOfDatabase = isUnavailable(error) || name === 'SQLiteError' || name === 'PostgresError'
    if (!isOfDatabase) throw error
    throw new UserError(`The old database could not be read: ${message} (${code ?? name}).`)
  }
}

async function readServer<Value>(
  url: string,
  read: (database: OldDatabase) => Promise<Value>,
): Promise<Value> {
  const sql = openBare({ url }, { purpose: 'move-in', prepare: false })
  try {
    const value = await sql.begin('isolation level repeatable read read only', (transaction) => {
      const select = async (query: string) => [
        ...(await transaction.unsafe<Record<string, string | null>[]>(query)),
      ]
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
async function readFile<Value>(
  path: string,
  read: (database: OldDatabase) => Promise<Value>,
): Promise<Value> {
  const database = new Database(path, { readonly: true })
  try {
    database.run('pragma query_only = on')
    database.run('begin')
    const select = async (query: string) =>
      database.query<Record<string, string | null>, []>(query).all()
    const columnsOf = async (table: string) =>
      toTypes(await select(`select name, type from pragma_table_info('${table}')`))
    return await read({ dialect: 'SQLite', select, columnsOf })
  } finally {
    database.close()
  }
}

const toTypes = (rows: readonly Record<string, string | null>[]) =>
  new Map(rows.map(({ name, type }) => [name!, type!.toLowerCase()]))
