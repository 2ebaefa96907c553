import type { callAppendBatch } from '../log/append-call.ts'
import { isMissingSegment } from '../platform/postgres/errors.ts'
import type { Segments } from './create.ts'

/**
 * Returns a function that appends a batch and, if its shard has no segment for it, extends the log
 * and appends it again. Segments are created ahead of time, so one is missing only if that was
 * delayed for long.
 */
export function extending(
  segments: Segments,
  appendBatch: typeof callAppendBatch,
): typeof callAppendBatch {
  return async (sql, shard, batch, catalog) => {
    try {
      return await appendBatch(sql, shard, batch, catalog)
    } catch (error) {
      if (!isMissingSegment(error)) throw error
      await segments.extend(shard, batch.length)
      return appendBatch(sql, shard, batch, catalog)
    }
  }
}
