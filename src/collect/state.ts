import { Database } from 'bun:sqlite'
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes of the hash that stands for an id: two of 10^9 ids are alike once in 10^20 cases. */
export const HASH_BYTES = 16

/**
 * The ids of records that were counted, for some hours, and how far each source was read, in a
 * SQLite file. What is in it survives a power failure.
 */
export class State {
  readonly #database: Database
  readonly #keepSeconds: number

  /** Opens `state.sqlite` in a directory. Throws if the file can't be used. */
  constructor(directory: string, keepSeconds: number) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.#keepSeconds = keepSeconds
    this.#database = new Database(join(directory, 'state.sqlite'), { create: true, strict: true })
    this.#database.run('pragma journal_mode = wal')
    this.#database.run('pragma synchronous = full')
    this.#database.run(`
      create table if not exists ids (hash blob primary key, seen_at integer not null)
      without rowid`)
    this.#database.run(
      'create table if not exists cursors (source text primary key, cursor text not null)',
    )
    this.#database.run('create index if not exists ids_by_time on ids (seen_at)')
  }

  /** The hash of an id of an input. */
  static hash(input: string, id: string): Buffer {
    return createHash('sha256').update(`${input}\0${id}`).digest().subarray(0, HASH_BYTES)
  }

  /** How far a source was read; null if it was not. */
  cursorOf(source: string): string | null {
    const row = this.#database.query('select cursor from cursors where source = ?').get(source)
    return (row as { cursor: string } | null)?.cursor ?? null
  }

  moveCursor(source: string, cursor: string): void {
    this.#database
      .query('insert or replace into cursors (source, cursor) values (?, ?)')
      .run(source, cursor)
  }

  has(hash: Buffer): boolean {
    return this.#database.query('select 1 from ids where hash = ?').get(hash) !== null
  }

  /** Stores hashes, all or none. Those that are there already keep their time. */
  add(hashes: readonly Buffer[], unixSeconds: number): void {
    const insert = this.#database.query('insert or ignore into ids (hash, seen_at) values (?, ?)')
    this.#database.transaction(() => {
      for (const hash of hashes) insert.run(hash, unixSeconds)
    })()
  }

  /** Forgets what is older than the time to keep. */
  forgetOld(unixSeconds: number): void {
    this.#database.query('delete from ids where seen_at < ?').run(unixSeconds - this.#keepSeconds)
  }

  get size(): number {
    const { count } = this.#database.query('select count(*) as count from ids').get() as {
      count: number
    }
    return count
  }

  close(): void {
    this.#database.close()
  }
}
