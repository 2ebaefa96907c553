import { createHash } from 'node:crypto'
import { readRecords } from './body.ts'
import { isMetBy, type Mapping, readRecord, type Target } from './mapping.ts'
import { decodeRequest, type Fields, type Signal } from './otlp/decode.ts'
import { MAPPING_ATTRIBUTE, type OtlpPreset } from './otlp/presets.ts'
import type { Reading } from './usage-record.ts'

/** Thrown if a body as a whole can't be read. */
export class UnreadableBody extends Error {}

/** Reads what a sender posts to `/ingest/<name>`. */
export function readIngest(mapping: Mapping, body: Uint8Array, target: Target): Reading[] {
  const text = new TextDecoder().decode(body)
  const readings = readRecords(text).map((record) => readRecord(mapping, record, target))
  return withIds(readings, body)
}

/**
 * Reads an OTLP request. Each span or log record is read by the first preset that it belongs to;
 * those of none are not counted. Throws UnreadableBody.
 */
export function readOtlp(
  signal: Signal,
  presets: readonly OtlpPreset[],
  body: Uint8Array,
  isJson: boolean,
  target: Target,
): Reading[] {
  let all: Fields[]
  try {
    all = decodeRequest(signal, body, isJson)
  } catch (error) {
    throw new UnreadableBody((error as Error).message)
  }
  const own = presets.filter((preset) => preset.signal === signal)
  const readings = all.map((fields): Reading => {
    const preset = own.find(({ when }) => isMetBy(fields, when))
    if (preset !== undefined) return readRecord(preset.mapping, fields, target)
    const name = fields[MAPPING_ATTRIBUTE]
    if (name === undefined) return { kind: 'ignored' }
    return { kind: 'malformed', reason: `there is no mapping ${String(name)}` }
  })
  return withIds(readings, body)
}

/**
 * Identifies records that have no id of their own, but a time, by their place in the body: a sender
 * that repeats a body repeats its bytes. Without a time, two bodies may be alike and not repeated.
 */
function withIds(readings: Reading[], body: Uint8Array): Reading[] {
  let hash: string | undefined
  readings.forEach((reading, place) => {
    if (reading.kind !== 'record' || reading.record.id !== null || reading.record.at === null)
      return
    hash ??= createHash('sha256').update(body).digest('base64')
    reading.record.id = `${hash}/${place}`
  })
  return readings
}

/** A mapping whose key and name are looked for elsewhere first. */
export function withPaths(mapping: Mapping, key: string | null, name: string | null): Mapping {
  const before = (path: string | null, rest: string | undefined) =>
    [path, rest].filter((one) => one !== null && one !== undefined).join(' | ')
  return {
    ...mapping,
    key: before(key, mapping.key),
    ...((name !== null || mapping.name !== undefined) && { name: before(name, mapping.name) }),
  }
}
