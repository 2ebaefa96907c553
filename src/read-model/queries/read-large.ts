import type { EventPlace } from '../../log/visit.ts'
import type { Content } from '../projections/entry.ts'

/**
 * Reads an event with a large payload elsewhere: its content in parts. Throws PayloadError where it
 * can't be folded.
 */
export type ReadLarge = (place: EventPlace) => AsyncIterable<Content>
