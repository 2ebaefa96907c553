import type { AccountKind } from './accounts.ts'
import type { Postings } from './postings.ts'
import type { EntryRow } from './rows.ts'

/** Everything that other code needs to know of an event type. */
export type EventDefinition<Data> = {
  /** The version that appends write, unless `versionOf` says otherwise. */
  version: number
  /** The version in which an event is written, if that depends on its content. */
  versionOf?: (data: Data) => number
  /**
   * Readers of payloads by version; old ones are upcast. They throw PayloadError if no append could
   * have written the payload.
   */
  read: Readonly<Record<number, (payload: unknown) => Data>>
  /** Reads the current version from its bytes, faster. Returns null if `read` has to decide. */
  readBytes?: (payload: Uint8Array) => Data | null
  /** The kinds of accounts that events of this type may post to. */
  postsTo: readonly AccountKind[]
  /** Returns an event's postings; `recordedAt` is when it was recorded (RFC 3339). */
  post: (data: Data, recordedAt: string) => readonly Postings[]
  /** Returns an event's entries as rows, or null if events of this type have none. */
  toRows: (data: Data) => EntryRow[] | null
}

/** The members that all event types without postings have in common. */
export const COUNTS_NOTHING = {
  postsTo: [],
  post: () => [],
  toRows: () => null,
} as const
