import type { CatalogChange } from '../../events/catalog-change.ts'
import { type Event, postingsOf } from '../../events/event.ts'
import { cutPostings, type Postings } from '../../events/postings.ts'

/** What an event says to the folds: what it counts, and how it changes the catalog if it does. */
export type Content = { postings: readonly Postings[]; change: CatalogChange | null }

/** An event as it is folded: its content, or a part of that, its place, and its time (RFC 3339). */
export type Entry = Content & { position: number; recordedAt: string }

/** The content of an event that was recorded then. */
export function contentOf(event: Event, recordedAt: string): Content {
  return {
    postings: postingsOf(event, recordedAt),
    change: event.type === 'CatalogChanged' ? event.data : null,
  }
}

/** Content in parts that add up to it: only a fold that takes all of them, or none, is right. */
export function* cutContent({ postings, change }: Content): Generator<Content, undefined> {
  if (change !== null) yield { postings: [], change }
  for (const some of cutPostings(postings)) yield { postings: [some], change: null }
}

/** Postings to an account each: about as many as the event has entries. */
export const countPostings = ({ postings }: Content) =>
  postings.reduce(
    (count, { accounts, start, end }) => count + (typeof accounts === 'object' ? end - start : 0),
    0,
  )
