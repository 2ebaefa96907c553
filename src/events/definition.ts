import type { AccountKind } from './accounts.ts'
import type { Postings } from './postings.ts'
import type { EntryRow } from './rows.ts'

/** A type of events: all that the rest has to know of it. */
export type EventDefinition<Data> = {
  /** The version that is written today. */
  version: number
  /**
   * How a payload of each version is read, an old one upcast. Throws PayloadError where it is not
   * what an append writes.
   */
  read: Readonly<Record<number, (payload: unknown) => Data>>
  /** Reads today's version faster, from its bytes; null where `read` has to decide. */
  readBytes?: (payload: Uint8Array) => Data | null
  /** The kinds of accounts that it may post to. */
  postsTo: readonly AccountKind[]
  /** What it counts. It follows from the event, and from when it was recorded (RFC 3339). */
  post: (data: Data, recordedAt: string) => readonly Postings[]
  /** Its entries as rows; null for a type that has none. */
  toRows: (data: Data) => EntryRow[] | null
}

/** What a type of events is that counts nothing. */
export const COUNTS_NOTHING = {
  postsTo: [],
  post: () => [],
  toRows: () => null,
} as const
