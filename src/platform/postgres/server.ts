import { isUnavailable } from './errors.ts'
import type { Sql } from './pool.ts'

/** The version, connections and database size of the PostgreSQL server. */
export type Server = {
  version: string
  /** On Citus the sum over all nodes; null while one of them doesn't answer. */
  size_bytes: number | null
  /** Open connections to the server, of all clients. */
  connections: number
  max_connections: number
}

/** Reads the server's version, connections and database size. */
export async function readServer(sql: Sql): Promise<Server> {
  const [row] = await sql<{ version: string; citus: boolean; connections: string; most: string }[]>`
    select
      current_setting('server_version') as version,
      exists (select from pg_extension where extname = 'citus') as citus,
      (select sum(d.numbackends) from pg_stat_database d) as connections,
      current_setting('max_connections') as most`
  return {
    version: row!.version.split(' ')[0]!,
    size_bytes: row!.citus ? await readSizeOfAll(sql) : await readSize(sql),
    connections: Number(row!.connections),
    max_connections: Number(row!.most),
  }
}

async function readSize(sql: Sql): Promise<number> {
  const [row] = await sql<{ size: string }[]>`select pg_database_size(current_database()) as size`
  return Number(row!.size)
}

/** Returns the size over all nodes of a Citus cluster, or null if a node is unavailable. */
async function readSizeOfAll(sql: Sql): Promise<number | null> {
  try {
    const [row] = await sql<{ size: string; is_whole: boolean }[]>`
      select sum(case when n.success then n.result::bigint end) as size,
        bool_and(n.success) as is_whole
      from run_command_on_all_nodes('select pg_database_size(current_database())') n`
    return row!.is_whole ? Number(row!.size) : null
  } catch (error) {
    if (isUnavailable(error)) return null
    throw error
  }
}
