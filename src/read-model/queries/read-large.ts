import type { EventPlace } from '../../log/visit.ts'
import type { Content } from '../projections/entry.ts'

/**
 * Reads an event with a large payload off this thread, and yields its content in parts. Throws
 * PayloadError if it can't be folded.
 */
export type ReadLarge = (place: EventPlace) => AsyncIterable<Content>
