import { hash } from 'node:crypto'
import { type ApiKeyFlush, decodeApiKeyFlush, decodeApiKeyFlush1 } from './api-key-flush.ts'
import { readApiKeyFlushBytes } from './api-key-flush-bytes.ts'
import { type CatalogChange, decodeCatalogChange } from './catalog-change.ts'
import { PayloadError } from './columns.ts'
import { decodeKeyFlush, type KeyFlush } from './key-flush.ts'
import {
  type Attestation,
  decodeAttestation,
  decodeOriginChange,
  decodeShardsChange,
  type OriginChange,
  type ShardsChange,
} from './statement.ts'

/** The types of events, with the version that is written today. */
export const CURRENT_VERSIONS = {
  ApiKeyStatsFlushed: 2,
  KeyStatsFlushed: 1,
  CatalogChanged: 1,
  ProjectionAttested: 2,
  OriginChanged: 1,
  ShardsChanged: 1,
} as const

export type EventType = keyof typeof CURRENT_VERSIONS

/** An event as it stands in the log. */
export type StoredEvent = {
  shard: number
  position: number
  type: string
  version: number
  /** RFC 3339 in UTC, microseconds. */
  recordedAt: string
  source: string
  idempotencyKey: string | null
  /** JSON, letter by letter as it was appended. */
  payload: string
  /** What the payload takes in the log; about its length. */
  payloadBytes: number
  /** Hex. */
  payloadSha256: string
}

/** What an event says, in today's shape whatever version it was written in. */
export type Event =
  | { type: 'ApiKeyStatsFlushed'; flush: ApiKeyFlush }
  | { type: 'KeyStatsFlushed'; flush: KeyFlush }
  | { type: 'CatalogChanged'; change: CatalogChange }
  | { type: 'ProjectionAttested'; attestation: Attestation; lastAccess: 'posted' | 'bounded' }
  | { type: 'OriginChanged'; change: OriginChange }
  | { type: 'ShardsChanged'; change: ShardsChange }

/** An event of a type or version that this code doesn't know: maybe newer code has written it. */
export class UnknownEvent extends PayloadError {
  override name = 'UnknownEvent'
}

/**
 * Reads an event of any version (an old one is upcast) from its payload's text, or faster from the
 * bytes of it. Throws UnknownEvent where the type or version isn't known, and another PayloadError
 * where the payload is not what an append writes.
 */
export function decodeEvent(type: string, version: number, payload: string | Uint8Array): Event {
  switch (`${type} ${version}`) {
    case 'ApiKeyStatsFlushed 1':
      return { type: 'ApiKeyStatsFlushed', flush: decodeApiKeyFlush1(parse(payload)) }
    case 'ApiKeyStatsFlushed 2':
      return { type: 'ApiKeyStatsFlushed', flush: readApiKeyFlush(payload) }
    case 'KeyStatsFlushed 1':
      return { type: 'KeyStatsFlushed', flush: decodeKeyFlush(parse(payload)) }
    case 'CatalogChanged 1':
      return { type: 'CatalogChanged', change: decodeCatalogChange(parse(payload)) }
    case 'ProjectionAttested 1':
    case 'ProjectionAttested 2':
      return {
        type: 'ProjectionAttested',
        attestation: decodeAttestation(parse(payload)),
        lastAccess: version === 1 ? 'posted' : 'bounded',
      }
    case 'OriginChanged 1':
      return { type: 'OriginChanged', change: decodeOriginChange(parse(payload)) }
    case 'ShardsChanged 1':
      return { type: 'ShardsChanged', change: decodeShardsChange(parse(payload)) }
    default:
      throw new UnknownEvent(`no reader for ${type} version ${version}`)
  }
}

/** SHA-256 of a payload's UTF-8 bytes, in hex. */
export function hashPayload(payload: string): string {
  return hash('sha256', payload, 'hex')
}

function readApiKeyFlush(payload: string | Uint8Array): ApiKeyFlush {
  const flush = typeof payload === 'string' ? null : readApiKeyFlushBytes(payload)
  return flush ?? decodeApiKeyFlush(parse(payload))
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

function parse(payload: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof payload === 'string' ? payload : decoder.decode(payload))
  } catch {
    throw new PayloadError('not JSON')
  }
}
