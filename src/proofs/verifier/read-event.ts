import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, type Event } from '../../events/event.ts'
import type { LineEvent } from '../../events/event-line.ts'

/**
 * Decodes an event. Returns null if that fails: such an event counts nothing, here as in the
 * service.
 */
export function readEvent({ type, version, payload }: LineEvent): Event | null {
  try {
    return decodeEvent(type, version, payload)
  } catch (error) {
    if (error instanceof PayloadError) return null
    throw error
  }
}
