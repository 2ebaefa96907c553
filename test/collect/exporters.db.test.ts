import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { freePort } from '../support/free-port.ts'
import { type Process, readUrl, runTallybook } from '../support/process.ts'
import { TOKENS, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The exporters of OpenTelemetry's own SDK, and a collector that is killed while they send.

const QUEUE = { scheduledDelayMillis: 20, exportTimeoutMillis: 100_000 }

const service = useService({ registerPerDay: 100 })

let folder: string
let port: number
let collector: Process

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tallybook-exporters-'))
  port = await freePort()
  await service.putCatalog(LLM_CONVENTIONS)
})
afterEach(async () => {
  collector.kill('SIGKILL')
  await collector.exited
  await rm(folder, { recursive: true })
})

async function start(): Promise<void> {
  collector = runTallybook(['collect', '--key', 'app.tenant'], folder, {
    TALLYBOOK_COLLECT_URL: service.url,
    TALLYBOOK_COLLECT_DP_TOKEN: TOKENS.dp,
    TALLYBOOK_COLLECT_DIRECTORY: join(folder, 'collect'),
    TALLYBOOK_COLLECT_LISTEN: `127.0.0.1:${port}`,
  })
  await readUrl(collector)
}

async function requestsOf(key: string): Promise<number> {
  const { items } = await service.read<{ items: { total_requests: number }[] }>(
    `/admin/api-keys?external_id=${key}`,
  )
  return items[0]?.total_requests ?? 0
}

test.each([
  ['protobuf', ProtobufExporter],
  ['JSON', JsonExporter],
] as const)(
  'spans of the SDK in %s are counted once, whenever the collector is killed',
  async (name, Exporter) => {
    await start()
    const exporter = new Exporter({ url: `http://127.0.0.1:${port}/v1/traces` })
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
      collector.kill('SIGKILL')
      await collector.exited
      await start()
    }
    await provider.forceFlush()
    await until(async () => (await requestsOf(name)) >= SPANS)
    await provider.shutdown()
    expect(await requestsOf(name)).toBe(SPANS)
  },
)
