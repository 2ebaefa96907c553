import { type Act, actOf, type MovedReversals } from '../../events/act.ts'
import { type CatalogChange, cutChange } from '../../events/catalog-change.ts'
import { type Event, postingsOf } from '../../events/event.ts'
import { cutPostings, type Postings } from '../../events/postings.ts'
import { cutUnknown, type UnknownEntries, unknownOf } from '../../events/unknown.ts'

/**
 * What folds read from an event: its postings, its catalog change or act if it is one, and entries
 * for unknown keys: those of a flush, or those that an act took.
 */
export type Content = {
  postings: readonly Postings[]
  change: CatalogChange | null
  act: Act | MovedReversals | null
  unknown: readonly UnknownEntries[]
}

/**
 * An event as folds receive it: all or part of its content, its position, and its time (RFC 3339).
 */
export type Entry = Content & { position: number; recordedAt: string }

/** Returns the content of an event that was recorded at `recordedAt`. */
export function contentOf(event: Event, recordedAt: string): Content {
  return {
    postings: postingsOf(event, recordedAt),
    change: event.type === 'CatalogChanged' ? event.data : null,
    act: actOf(event, recordedAt),
    unknown: unknownOf(event, recordedAt),
  }
}

/**
 * Splits content into parts that add up to it; each has the act. A fold is correct only after all
 * of them, or none.
 */
export function* cutContent(content: Content): Generator<Content, undefined> {
  const { postings, change, act, unknown } = content
  const none = { postings: [], change: null, act, unknown: [] }
  for (const part of change === null ? [] : cutChange(change)) yield { ...none, change: part }
  for (const some of cutPostings(postings)) yield { ...none, postings: [some] }
  for (const some of cutUnknown(unknown)) yield { ...none, unknown: [some] }
  if (act?.type === 'ShardsChanged') yield none
}

/** Counts postings to individual accounts: about as many as the event has entries. */
export function countPostings({ postings }: Content): number {
  let count = 0
  for (const { accounts, start, end } of postings) {
    if (typeof accounts === 'object') count += end - start
  }
  return count
}
