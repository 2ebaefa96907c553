import type { StoreFailure } from './stores/store.ts'

/** Why a segment can't be read: the store failed, or the file is not one, or is another one. */
export type SegmentFailure = StoreFailure | { kind: 'malformed'; reason: string }

/** A segment can't be read, for the reason in `failure`. */
export class SegmentError extends Error {
  override name = 'SegmentError'

  constructor(readonly failure: SegmentFailure) {
    super(failure.reason)
  }
}
