import type { LineEvent } from '../events/event-line.ts'
import type { SegmentFailure } from './failure.ts'
import { CheckedFile } from './fetch.ts'
import type { SegmentStore } from './stores/store.ts'
import { verifySegment } from './verify.ts'
import { type SegmentPlan, SegmentWriter, type WrittenSegment } from './write.ts'

/** The result of putting a segment: it is there and was read back, or why it is not. */
export type PutSegment =
  | ({ kind: 'stored' } & WrittenSegment)
  /** An object of that name is there: remove it, or choose another name. */
  | { kind: 'exists' }
  | { kind: 'failed'; failure: SegmentFailure }

/**
 * Writes a segment to a store, and reads it back: every byte, with every hash recomputed. Only then
 * the result is `stored`. Otherwise an object may be left, or appear later, which is no segment or
 * not verified: `remove` it, and make the next attempt with another name. Rejects with UnfitEvent,
 * or as `pages` does.
 */
export async function putSegment(
  store: SegmentStore,
  name: string,
  plan: SegmentPlan,
  pages: AsyncIterable<readonly LineEvent[]>,
): Promise<PutSegment> {
  const writer = new SegmentWriter(plan)
  const put = await store.put(name, writer.content(pages))
  if (put.kind === 'exists') return put
  if (put.kind !== 'stored') return { kind: 'failed', failure: put }
  const written = writer.written!
  const { bytes, indexSha256 } = written
  const verified = await verifySegment(new CheckedFile(store, name), { bytes, indexSha256 })
  if (verified.kind === 'problem') return { kind: 'failed', failure: verified.failure }
  return { kind: 'stored', ...written }
}
