import protobuf from 'protobufjs'
import common from './proto/common.proto' with { type: 'text' }
import logs from './proto/logs.proto' with { type: 'text' }
import logsService from './proto/logs_service.proto' with { type: 'text' }
import resource from './proto/resource.proto' with { type: 'text' }
import trace from './proto/trace.proto' with { type: 'text' }
import traceService from './proto/trace_service.proto' with { type: 'text' }

/** The kind of data of an export request: spans, or log records. */
export type Signal = 'span' | 'log'

/** A span or a log record as one object: its attributes, those of its resource, and `otel.…`. */
export type Fields = Record<string, unknown>

type Attributes = { key?: string; value?: AnyValue }[] | undefined
type AnyValue = {
  stringValue?: string
  boolValue?: boolean
  intValue?: unknown
  doubleValue?: number
  arrayValue?: { values?: AnyValue[] }
  kvlistValue?: { values?: Attributes }
}
type Resource = { resource?: { attributes?: Attributes } }
type Scope = { scope?: { name?: string } }
type Id = Uint8Array | string | undefined
type Span = {
  traceId?: Id
  spanId?: Id
  name?: string
  kind?: number | string
  endTimeUnixNano?: unknown
  attributes?: Attributes
  status?: { code?: number | string }
}
type LogRecord = {
  traceId?: Id
  spanId?: Id
  timeUnixNano?: unknown
  observedTimeUnixNano?: unknown
  eventName?: string
  body?: AnyValue
  attributes?: Attributes
}
type TraceRequest = {
  resourceSpans?: (Resource & { scopeSpans?: (Scope & { spans?: Span[] })[] })[]
}
type LogsRequest = {
  resourceLogs?: (Resource & { scopeLogs?: (Scope & { logRecords?: LogRecord[] })[] })[]
}

const root = new protobuf.Root()
for (const text of [common, resource, trace, logs, traceService, logsService]) {
  protobuf.parse(text, root)
}
root.resolveAll()
const typeOf = (name: string) => root.lookupType(`opentelemetry.proto.collector.${name}`)

const REQUESTS = {
  span: typeOf('trace.v1.ExportTraceServiceRequest'),
  log: typeOf('logs.v1.ExportLogsServiceRequest'),
}
const RESPONSES = {
  span: typeOf('trace.v1.ExportTraceServiceResponse'),
  log: typeOf('logs.v1.ExportLogsServiceResponse'),
}

/** Decodes a request in protobuf, or in JSON. Throws if it is neither. */
export function decodeRequest(signal: Signal, body: Uint8Array, isJson: boolean): Fields[] {
  const request: unknown = isJson
    ? JSON.parse(new TextDecoder().decode(body))
    : REQUESTS[signal].decode(body)
  if (typeof request !== 'object' || request === null) throw new TypeError('not an object')
  return signal === 'span'
    ? [...fieldsOfSpans(request as TraceRequest)]
    : [...fieldsOfLogs(request as LogsRequest)]
}

/** Encodes the answer to a request of which some spans or log records could not be read. */
export function encodeResponse(
  signal: Signal,
  isJson: boolean,
  rejected: number,
  errorMessage: string,
): Uint8Array | string {
  const count = signal === 'span' ? { rejectedSpans: rejected } : { rejectedLogRecords: rejected }
  const response = rejected === 0 ? {} : { partialSuccess: { ...count, errorMessage } }
  const type = RESPONSES[signal]
  return isJson ? JSON.stringify(response) : type.encode(type.fromObject(response)).finish()
}

function* fieldsOfSpans({ resourceSpans = [] }: TraceRequest): Generator<Fields> {
  for (const { resource, scopeSpans = [] } of resourceSpans) {
    const common = readAttributes(resource?.attributes)
    for (const { scope, spans = [] } of scopeSpans) {
      for (const span of spans) {
        yield {
          ...common,
          ...readAttributes(span.attributes),
          'otel.scope': scope?.name,
          'otel.trace_id': readId(span.traceId),
          'otel.span_id': readId(span.spanId),
          'otel.name': span.name,
          'otel.kind': readEnum(span.kind, 'SPAN_KIND_'),
          'otel.end_time': toNumber(span.endTimeUnixNano),
          'otel.error': isError(span.status?.code) ? 'error' : undefined,
        }
      }
    }
  }
}

function* fieldsOfLogs({ resourceLogs = [] }: LogsRequest): Generator<Fields> {
  for (const { resource, scopeLogs = [] } of resourceLogs) {
    const common = readAttributes(resource?.attributes)
    for (const { scope, logRecords = [] } of scopeLogs) {
      for (const record of logRecords) {
        const body = readValue(record.body)
        yield {
          ...common,
          ...readAttributes(record.attributes),
          'otel.scope': scope?.name,
          'otel.trace_id': readId(record.traceId),
          'otel.span_id': readId(record.spanId),
          'otel.event': record.eventName || (typeof body === 'string' ? body : undefined),
          'otel.time': toNumber(record.timeUnixNano) || toNumber(record.observedTimeUnixNano),
        }
      }
    }
  }
}

function readAttributes(attributes: Attributes): Fields {
  const fields: Fields = {}
  for (const { key, value } of attributes ?? []) {
    if (typeof key === 'string' && key !== '__proto__') fields[key] = readValue(value)
  }
  return fields
}

function readValue(value: AnyValue | null | undefined): unknown {
  if (value === undefined || value === null) return undefined
  // A decoded message has the members that were not sent in its prototype.
  if (Object.hasOwn(value, 'stringValue')) return value.stringValue
  if (Object.hasOwn(value, 'intValue')) return toNumber(value.intValue)
  if (Object.hasOwn(value, 'doubleValue')) return Number(value.doubleValue)
  if (Object.hasOwn(value, 'boolValue')) return value.boolValue
  if (Object.hasOwn(value, 'arrayValue')) return value.arrayValue?.values?.map(readValue)
  if (Object.hasOwn(value, 'kvlistValue')) return readAttributes(value.kvlistValue?.values)
  return undefined
}

/** 64-bit integers are objects or texts. Those above 2^53 are rounded: times in nanoseconds. */
const toNumber = (value: unknown) =>
  value === undefined || value === null ? undefined : Number(String(value))

/** An id as hexadecimal digits, which it is in JSON. */
const readId = (id: Id) =>
  id === undefined || id.length === 0
    ? undefined
    : typeof id === 'string'
      ? id.toLowerCase()
      : Buffer.from(id).toString('hex')

const KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER']

/** The name of an enum's value without its prefix: `CLIENT`. */
const readEnum = (value: number | string | undefined, prefix: string) =>
  typeof value === 'number' ? KINDS[value] : value?.replace(prefix, '')

const isError = (code: number | string | undefined) => code === 2 || code === 'STATUS_CODE_ERROR'
