import type { AttributedFlush } from '../events/flush.ts'
import type { Intervals } from '../platform/intervals.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { callAppendBatch } from './append-call.ts'
import type { Lookups, PendingFlush } from './queue.ts'

export type AppenderOptions = {
  shard: number
  sql: Sql
  /** Attributes flushes. */
  catalog: Lookups & { readonly position: number; readonly sha256: string | null }
  /** Folds the changes committed since into `catalog`. */
  refreshCatalog: () => Promise<void>
  /**
   * Called before a batch is appended, with those of its flushes that name unknown keys. May change
   * the catalog, and fold the change into `catalog`, so that they are known.
   */
  registerUnknown?: (shard: number, flushes: readonly PendingFlush[]) => Promise<void>
  /**
   * Called before a batch is appended, with those of its flushes that have dimensions or measures.
   * May change how they are counted (`PendingFlush.countAs`).
   */
  limitDimensions?: (shard: number, flushes: readonly PendingFlush[]) => Promise<void>
  /** How many days a flush's own time may be in the past; default COUNTED_AT_DAYS. */
  countedAtDays?: number
  /** Called after each commit that added events to the shard. */
  onAppended: (shard: number, batch: AppendedBatch) => void
  /** Called for each batch that failed; `onTaken` for the first one that succeeds afterwards. */
  onRefused?: (shard: number, error: unknown) => void
  onTaken?: (shard: number) => void
  /** Defaults to INTERVALS.log. */
  intervals?: Intervals['log']
  /** Defaults to callAppendBatch. */
  appendBatch?: typeof callAppendBatch
}

/**
 * The events that one commit added at consecutive positions, their sources, the hashes of their
 * payloads in hex and their time (RFC 3339), and the identity of the event before them, null if
 * there is none.
 */
export type AppendedBatch = {
  firstPosition: number
  recordedAt: string
  events: AttributedFlush[]
  sources: string[]
  payloadSha256s: string[]
  previous: string | null
}
