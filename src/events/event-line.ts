import { isStorable } from './columns.ts'
import type { StoredEvent } from './event.ts'
import { TIME } from './instant.ts'
import { hashLeaf, type LeafEvent, toLeaf } from './leaf.ts'

/** An event as a line carries it: with all columns of the log. */
export type LineEvent = Omit<StoredEvent, 'payloadBytes'>

/**
 * A parsed line (`leaf` is made from the event, `leafHash` is as written in the line), or why it is
 * malformed.
 */
export type ParsedLine =
  | { kind: 'event'; event: LineEvent; leaf: string; leafHash: string | null }
  | { kind: 'malformed'; reason: string }

/**
 * Formats an event as a line of NDJSON, without the newline: the members of its leaf, then (if
 * asked for) the leaf's hash, and last the payload, character for character as stored in the log.
 *
 *     {"shard":0,…,"payload_sha256":"4413…","leaf_hash":"a9c7…","payload":{"groups":[1],…}}
 *
 * A newline in a payload would end the line, so such a payload, which only the database's owner can
 * write by hand, is sent as text: `"payload_text":"{\n}"`.
 */
export function toEventLine(event: LineEvent, { leafHash = false } = {}): string {
  const leaf = toLeaf(event)
  return joinLine(leaf, leafHash ? hashLeaf(leaf).toString('hex') : null, event.payload)
}

function joinLine(leaf: string, leafHash: string | null, payload: string): string {
  const hash = leafHash === null ? '' : `${LEAF_HASH}${leafHash}"`
  const isOneLine = !/[\n\r]/.test(payload)
  const member = isOneLine ? PAYLOAD + payload : PAYLOAD_TEXT + JSON.stringify(payload)
  return `${leaf.slice(0, -1)}${hash}${member}}`
}

const LEAF_HASH = ',"leaf_hash":"'
const PAYLOAD = ',"payload":'
const PAYLOAD_TEXT = ',"payload_text":'
/** The first match is a member: inside an earlier text, the quotes would be escaped. */
const AFTER_LEAF = /,"(?:leaf_hash|payload|payload_text)":/
const AFTER_HASH = /^,"leaf_hash":"([0-9a-f]{64})"/

/**
 * Parses a line. A line is malformed if it differs in any character from what `toEventLine` writes.
 * The hashes are not checked against the payload and the leaf.
 */
export function parseEventLine(line: string): ParsedLine {
  const end = line.search(AFTER_LEAF)
  const event = end < 0 ? null : readLeaf(`${line.slice(0, end)}}`)
  if (event === null) return malformed('the members before its payload are not those of an event')
  const rest = line.slice(end)
  const leafHash = AFTER_HASH.exec(rest)?.[1] ?? null
  const payload = readPayload(leafHash === null ? rest : rest.slice(LEAF_HASH.length + 65))
  if (payload === null) return malformed('it does not end with exactly one payload of valid JSON')
  // Extra spaces, another order, duplicate members, `1.0` for 1, needless escapes: all differ here.
  const leaf = toLeaf(event)
  if (joinLine(leaf, leafHash, payload) !== line) {
    return malformed('it is not in the canonical form of an event line')
  }
  return { kind: 'event', event: { ...event, payload }, leaf, leafHash }
}

const malformed = (reason: string): ParsedLine => ({ kind: 'malformed', reason })

function readLeaf(text: string): LeafEvent | null {
  const row = readJson(text)?.value as Record<string, unknown> | null | undefined
  if (typeof row !== 'object' || row === null) return null
  const { shard, position, type, version, source, recorded_at, idempotency_key } = row
  if (!isNumber(shard, 2 ** 31) || !isNumber(position, 2 ** 53) || !isNumber(version, 2 ** 15)) {
    return null
  }
  if (!isText(type) || !isText(source)) return null
  if (idempotency_key !== null && !isText(idempotency_key)) return null
  if (!isTime(recorded_at) || !isHash(row.payload_sha256)) return null
  return {
    shard,
    position,
    type,
    version,
    source,
    recordedAt: recorded_at,
    idempotencyKey: idempotency_key,
    payloadSha256: row.payload_sha256,
  }
}

/** Returns the payload's text from the rest of a line, after its leaf and hash; null if invalid. */
function readPayload(rest: string): string | null {
  if (!rest.endsWith('}')) return null
  let payload: unknown = null
  if (rest.startsWith(PAYLOAD)) payload = rest.slice(PAYLOAD.length, -1)
  else if (rest.startsWith(PAYLOAD_TEXT))
    payload = readJson(rest.slice(PAYLOAD_TEXT.length, -1))?.value
  return isText(payload) && readJson(payload) !== null ? payload : null
}

/** Returns null if the text isn't JSON. */
function readJson(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return null
  }
}

const isNumber = (value: unknown, end: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < end

const isTime = (value: unknown): value is string => typeof value === 'string' && TIME.test(value)

/** True for text that a database can store. */
const isText = (value: unknown): value is string => typeof value === 'string' && isStorable(value)

const isHash = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
