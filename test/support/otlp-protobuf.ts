import type { ReceivedSpan } from './collector.ts'

/** The fields of a protobuf message by number: bytes, or a number for the other wire types. */
type Fields = Map<number, (Uint8Array | bigint)[]>

/** Reads the fields of one message; of nested ones only the bytes. */
function readFields(bytes: Uint8Array): Fields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fields: Fields = new Map()
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const take = (length: number) => {
    at += length
    return bytes.subarray(at - length, at)
  }
  const fixed64 = () => {
    at += 8
    return view.getBigUint64(at - 8, true)
  }
  const fixed32 = () => {
    at += 4
    return BigInt(view.getUint32(at - 4, true))
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const [number, wire] = [tag >> 3, tag & 7]
    let value: Uint8Array | bigint
    if (wire === 0) value = varint()
    else if (wire === 1) value = fixed64()
    else if (wire === 2) value = take(Number(varint()))
    else value = fixed32()
    fields.set(number, [...(fields.get(number) ?? []), value])
  }
  return fields
}

const nested = (fields: Fields, number: number) =>
  (fields.get(number) ?? []).map((bytes) => readFields(bytes as Uint8Array))
const hex = (fields: Fields, number: number) =>
  Buffer.from((fields.get(number)?.[0] ?? []) as Uint8Array).toString('hex')
const text = (fields: Fields, number: number) =>
  new TextDecoder().decode(fields.get(number)?.[0] as Uint8Array)
const integer = (fields: Fields, number: number) => (fields.get(number)?.[0] ?? 0n) as bigint

/**
 * Returns the spans of an ExportTraceServiceRequest (opentelemetry-proto 1.x, where the numbers of
 * fields are from), without their attributes.
 */
export function spansOfProtobuf(body: Uint8Array): ReceivedSpan[] {
  return nested(readFields(body), 1)
    .flatMap((resourceSpans) => nested(resourceSpans, 2))
    .flatMap((scopeSpans) => nested(scopeSpans, 2))
    .map((span) => ({
      name: text(span, 5),
      kind: Number(integer(span, 6)),
      traceId: hex(span, 1),
      spanId: hex(span, 2),
      parentSpanId: hex(span, 4),
      startNs: integer(span, 7),
      endNs: integer(span, 8),
      attributes: {},
      links: nested(span, 13).map((link) => hex(link, 2)),
      status: Number(nested(span, 15)[0]?.get(3)?.[0] ?? 0n),
    }))
}
