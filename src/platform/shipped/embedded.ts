/** The content of an executable besides its code. */
export type Embedded = {
  /** The content of files, by the names that `readShipped` takes. */
  files: Readonly<Record<string, string>>
  /** The script and the style sheet of the console. */
  console: readonly { name: string; type: string; text: string }[]
  /** The path of the module that the worker runs. */
  worker: string
  /** The archive of PostgreSQL's programs; null for a platform that has none. */
  postgres: PostgresArchive | null
}

/**
 * An npm package of PostgreSQL (tar, gzip) next to the executable: the name of the file, the
 * version of the package, and its SHA-512 in base64.
 */
export type PostgresArchive = { name: string; version: string; sha512: string }

/** Null, unless `bun run build` has put this program into an executable. */
export const EMBEDDED: Embedded | null = null as Embedded | null
