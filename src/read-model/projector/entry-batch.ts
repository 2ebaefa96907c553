import type { AppendedBatch } from '../../log/appender-options.ts'
import { contentOf, type Entry } from '../projections/entry.ts'

/** The events of one commit, as every batch folds them; see AppendedBatch. */
export type EntryBatch = Omit<AppendedBatch, 'events' | 'sources'> & { entries: readonly Entry[] }

/** Decodes an appended batch once, for all projectors that fold it. */
export function toEntries({ events, sources: _, ...batch }: AppendedBatch): EntryBatch {
  const { firstPosition, recordedAt } = batch
  const entries = events.map((event, i) => {
    const { postings, change, act, unknown } = contentOf(event, recordedAt)
    return { postings, change, act, unknown, position: firstPosition + i, recordedAt }
  })
  return { ...batch, entries }
}
