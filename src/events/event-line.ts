import type { StoredEvent } from './event.ts'

/**
 * The event in JSON on one line, without the newline: `{"shard":0,"position":41,"type":…,"payload":
 * {…}}`. The payload stands there letter by letter; one with line breaks of its own (as only the
 * owner could have written it) is the JSON string `payload_text` instead.
 */
export function toEventLine(event: StoredEvent): string {
  const { payload } = event
  const last = /[\r\n]/.test(payload)
    ? `"payload_text":${JSON.stringify(payload)}`
    : `"payload":${payload}`
  return `${toEventStart(event)},${last}}`
}

/** All members of an event but its payload, in JSON without the closing brace. */
export function toEventStart(event: StoredEvent): string {
  const members = {
    shard: event.shard,
    position: event.position,
    type: event.type,
    version: event.version,
    recorded_at: event.recordedAt,
    source: event.source,
    idempotency_key: event.idempotencyKey,
    payload_sha256: event.payloadSha256,
  }
  return JSON.stringify(members).slice(0, -1)
}
