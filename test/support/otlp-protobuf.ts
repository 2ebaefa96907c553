import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'

const PROTO = join(import.meta.dir, '../../src/collect/otlp/proto')

const root = new protobuf.Root()
for (const name of ['common', 'resource', 'trace', 'trace_service']) {
  protobuf.parse(readFileSync(join(PROTO, `${name}.proto`), 'utf8'), root)
}
const request = root.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest')

/** Decodes a request in protobuf to the form that it has in JSON, but with ids as bytes. */
export const decodeTraces = (body: Uint8Array): unknown =>
  request.toObject(request.decode(body), { longs: String })
