import { spansOfProtobuf } from './otlp-protobuf.ts'
import { until } from './until.ts'

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
  /** Waits for spans of this name, and returns all of them. */
  named(name: string, count?: number): Promise<ReceivedSpan[]>
  stop(): void
}

type Value = { stringValue?: string; intValue?: string | number; doubleValue?: number }
type Pairs = { key: string; value: Value }[]
type JsonSpan = {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes?: Pairs
  links?: { spanId: string }[]
  status?: { code?: number }
}
type JsonBody = {
  resourceSpans: {
    resource: { attributes: Pairs }
    scopeSpans: { spans: JsonSpan[] }[]
  }[]
}

/** Receives traces by OTLP over HTTP, as an OpenTelemetry Collector does. */
export function startCollector(): Collector {
  const collector: Collector = {
    endpoint: '',
    spans: [],
    requests: [],
    resource: {},
    named: (name, count = 1) =>
      until(() => {
        const spans = collector.spans.filter((span) => span.name === name)
        return spans.length >= count && spans
      }),
    stop: () => void server.stop(true),
  }
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async (request) => {
      const { headers, url } = request
      const type = headers.get('content-type')
      collector.requests.push({ path: new URL(url).pathname, type, headers })
      if (type === 'application/json') take((await request.json()) as JsonBody)
      else collector.spans.push(...spansOfProtobuf(new Uint8Array(await request.arrayBuffer())))
      return new Response(null, { headers: { 'content-type': type ?? '' } })
    },
  })
  const take = ({ resourceSpans }: JsonBody) => {
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

const toSpan = (span: JsonSpan): ReceivedSpan => ({
  name: span.name,
  kind: span.kind,
  traceId: span.traceId,
  spanId: span.spanId,
  parentSpanId: span.parentSpanId ?? '',
  startNs: BigInt(span.startTimeUnixNano),
  endNs: BigInt(span.endTimeUnixNano),
  attributes: toRecord(span.attributes),
  links: (span.links ?? []).map(({ spanId }) => spanId),
  status: span.status?.code ?? 0,
})
