import { hash } from 'node:crypto'
import type { StoredEvent } from './event.ts'

/** The content of a leaf: every column of an event, with only the hash of its payload. */
export type LeafEvent = Omit<StoredEvent, 'payload' | 'payloadBytes'>

/**
 * Returns the leaf of an event: compact JSON in UTF-8, the members in this order. Text is escaped
 * as JSON.stringify does: `"`, `\` and characters below U+0020, nothing else.
 *
 *     {"shard":0,"position":41,"type":"ApiKeyStatsFlushed","version":2,
 *      "recorded_at":"2026-01-31T12:00:00.123456+00:00","source":"dp","idempotency_key":"flush-1",
 *      "payload_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
 *
 * This, as one line without the spaces in between, is the leaf of an event with the payload `{}`.
 * Its hash is 1d051b3adf5d7ac31dcbd1d38e45f627124cfa4be452b2ce033ba38a324a6621.
 */
export function toLeaf(event: LeafEvent): string {
  return JSON.stringify({
    shard: event.shard,
    position: event.position,
    type: event.type,
    version: event.version,
    recorded_at: event.recordedAt,
    source: event.source,
    idempotency_key: event.idempotencyKey,
    payload_sha256: event.payloadSha256,
  })
}

/** Returns the hash of a leaf: SHA-256 of a zero byte and the leaf (RFC 6962, section 2.1). */
export const hashLeaf = (leaf: string): Buffer => hash('sha256', `\0${leaf}`, 'buffer')
