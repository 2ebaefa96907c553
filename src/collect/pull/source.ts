import type { Mapping } from '../mapping.ts'

/** Records that were read of a source. */
export type Page = {
  records: unknown[]
  /** From where to read next. */
  cursor: string
  /** True if there may be more already. */
  isFull: boolean
}

/** Something that keeps records, which are read from time to time. */
export type Source = {
  mapping: Mapping
  /** Where reading begins if nothing was read before, and `from` is `now`, or `start`. */
  begin(from: 'now' | 'start'): Promise<string>
  /** Reads what comes after a cursor, which may include what was read before. */
  read(cursor: string): Promise<Page>
}

/** The most records of a page. */
export const PAGE = 5_000

/** The place of a source, and settings that its preset may need; null for those not stated. */
export type Place = {
  location: string
  secret: string | null
  main: string | null
  /** How long the newest lines wait for those before them, in milliseconds. */
  settleMs: number
}
