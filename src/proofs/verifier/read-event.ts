import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, type Event } from '../../events/event.ts'
import type { LineEvent } from '../../events/event-line.ts'

/** What an event says; null where it can't be read: it counts nothing, here and in the service. */
export function readEvent({ type, version, payload }: LineEvent): Event | null {
  try {
    return decodeEvent(type, version, payload)
  } catch (error) {
    if (error instanceof PayloadError) return null
    throw error
  }
}
