import type { Sql } from './pool.ts'

/** The PostgreSQL server, and how large the database is. */
export type Server = {
  version: string
  size_bytes: number
  /** Open ones, of everybody. */
  connections: number
  max_connections: number
}

export async function readServer(sql: Sql): Promise<Server> {
  const [row] = await sql<{ version: string; size: string; connections: string; most: string }[]>`
    select
      current_setting('server_version') as version,
      pg_database_size(current_database()) as size,
      (select sum(d.numbackends) from pg_stat_database d) as connections,
      current_setting('max_connections') as most`
  return {
    version: row!.version.split(' ')[0]!,
    size_bytes: Number(row!.size),
    connections: Number(row!.connections),
    max_connections: Number(row!.most),
  }
}
