import { beforeEach, expect, test } from 'bun:test'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { readKey, useCollectProcess } from '../support/collect.ts'
import { useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The exporters of OpenTelemetry's own SDK, and a collector that is killed while they send.

const QUEUE = { scheduledDelayMillis: 20, exportTimeoutMillis: 100_000 }

const service = useService({ registerPerDay: 100 })

const collector = useCollectProcess(service)

beforeEach(async () => {
  await service.putCatalog(LLM_CONVENTIONS)
})

const start = () => collector.start({ args: ['--key', 'app.tenant'] })
const requestsOf = async (key: string) => (await readKey(service, key))?.total_requests ?? 0

test.each([
  ['protobuf', ProtobufExporter],
  ['JSON', JsonExporter],
] as const)(
  'spans of the SDK in %s are counted once, whenever the collector is killed',
  async (name, Exporter) => {
    await start()
    const exporter = new Exporter({ url: `${collector.url}/v1/traces` })
    const patient: SpanExporter = {
      // The SDK drops what it could not send for some seconds; a Collector with a queue keeps it.
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          if (result.code === 0) done(result)
          else patient.export(spans, done)
        }),
      shutdown: () => exporter.shutdown(),
    }
    const processor = new BatchSpanProcessor({ exporter: patient, ...QUEUE })
    const provider = new TracerProvider({ spanProcessors: [processor] })
    const tracer = provider.getTracer('test')
    const SPANS = 60
    for (let i = 0; i < SPANS; i++) {
      const attributes = { 'app.tenant': name, 'gen_ai.usage.input_tokens': 7 }
      const operation = { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-5' }
      tracer.startSpan('chat', { attributes: { ...attributes, ...operation } }).end()
      tracer.startSpan('invoke_agent', { attributes }).end()
      await Bun.sleep(5)
      if (i % 20 !== 10) continue
      await collector.kill()
      await start()
    }
    await provider.forceFlush()
    await until(async () => (await requestsOf(name)) >= SPANS)
    await provider.shutdown()
    expect(await requestsOf(name)).toBe(SPANS)
  },
)
