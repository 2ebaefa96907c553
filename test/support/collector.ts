import { decodeTraces } from './otlp-protobuf.ts'

/** A span as a collector receives it; `kind` is the number of the protocol. */
export type ReceivedSpan = {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId: string
  startNs: bigint
  endNs: bigint
  attributes: Record<string, string | number>
  /** The ids of the spans that it is linked to. */
  links: string[]
  /** 2 for an error, otherwise 0. */
  status: number
}

export type Collector = {
  endpoint: string
  spans: ReceivedSpan[]
  requests: { path: string; type: string | null; headers: Headers }[]
  /** The attributes of the last resource. */
  resource: Record<string, string | number>
  stop(): void
}

type Value = { stringValue?: string; intValue?: string | number; doubleValue?: number }
type Pairs = { key: string; value: Value }[]
type Id = string | Uint8Array
type SentSpan = {
  name: string
  kind: number
  traceId: Id
  spanId: Id
  parentSpanId?: Id
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes?: Pairs
  links?: { spanId: Id }[]
  status?: { code?: number }
}
type Body = {
  resourceSpans: {
    resource: { attributes: Pairs }
    scopeSpans: { spans: SentSpan[] }[]
  }[]
}

/** Receives traces by OTLP over HTTP, as an OpenTelemetry Collector does. */
export function startCollector(): Collector {
  const collector: Collector = {
    endpoint: '',
    spans: [],
    requests: [],
    resource: {},
    stop: () => void server.stop(true),
  }
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async (request) => {
      const { headers, url } = request
      const type = headers.get('content-type')
      collector.requests.push({ path: new URL(url).pathname, type, headers })
      const body =
        type === 'application/json' ? await request.json() : decodeTraces(await request.bytes())
      take(body as Body)
      return new Response(null, { headers: { 'content-type': type ?? '' } })
    },
  })
  const take = ({ resourceSpans }: Body) => {
    for (const { resource, scopeSpans } of resourceSpans) {
      collector.resource = toRecord(resource.attributes)
      for (const { spans } of scopeSpans) collector.spans.push(...spans.map(toSpan))
    }
  }
  collector.endpoint = `http://127.0.0.1:${server.port}`
  return collector
}

const toRecord = (pairs: Pairs = []) =>
  Object.fromEntries(
    pairs.map(({ key, value: { stringValue, intValue, doubleValue } }) => [
      key,
      stringValue ?? Number(intValue ?? doubleValue),
    ]),
  )

/** An id as hexadecimal digits, which it is in JSON. */
const toHex = (id: Id = '') => (typeof id === 'string' ? id : Buffer.from(id).toString('hex'))

const toSpan = (span: SentSpan): ReceivedSpan => ({
  name: span.name,
  kind: span.kind,
  traceId: toHex(span.traceId),
  spanId: toHex(span.spanId),
  parentSpanId: toHex(span.parentSpanId),
  startNs: BigInt(span.startTimeUnixNano),
  endNs: BigInt(span.endTimeUnixNano),
  attributes: toRecord(span.attributes),
  links: (span.links ?? []).map(({ spanId }) => toHex(spanId)),
  status: span.status?.code ?? 0,
})
