import type { AppendedBatch } from '../../log/append.ts'
import { contentOf, type Entry } from '../projections/entry.ts'

/** What one commit brought, as every pass folds it; see AppendedBatch. */
export type EntryBatch = Omit<AppendedBatch, 'events'> & { entries: readonly Entry[] }

/** Reads what was appended for all who fold it. */
export function toEntries({ events, ...batch }: AppendedBatch): EntryBatch {
  const { firstPosition, recordedAt } = batch
  const entries = events.map((event, i) => {
    const { postings, change } = contentOf(event, recordedAt)
    return { postings, change, position: firstPosition + i, recordedAt }
  })
  return { ...batch, entries }
}
