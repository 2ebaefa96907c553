import type postgres from 'postgres'

export type Sql = postgres.Sql
export type Transaction = postgres.TransactionSql
/** A piece of SQL, to be spliced into a statement. */
export type Fragment = postgres.PendingQuery<postgres.Row[]>

/** The address of a PostgreSQL server: a URL, or the socket directory of the embedded server. */
export type ServerAddress =
  | { url: string }
  | { host: string; port: number; user: string; database: string }
