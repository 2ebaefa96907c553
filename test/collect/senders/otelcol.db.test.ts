import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { LLM_CONVENTIONS } from '../../../src/cli/llm-conventions.ts'
import { useCollectProcess } from '../../support/collect.ts'
import { hasNginx, readSample } from '../../support/reverse-proxy.ts'
import { useServiceProcess } from '../../support/service-process.ts'
import { countedOf, sendAndKill } from './kills.ts'
import { expectedOf, GUIDE, startLoggedNginx } from './logged-nginx.ts'
import { makeOtelCollector, type OtelCollector } from './otelcol.ts'
import { hasProgram, OTELCOL } from './programs.ts'

// A real OpenTelemetry Collector with the configuration of docs/guides/collect-senders.md, while
// it, this collector and the service are killed.

describe.skipIf(!hasProgram(OTELCOL))('an OpenTelemetry Collector', () => {
  const service = useServiceProcess()
  const collector = useCollectProcess(service)
  let otelcol: OtelCollector

  beforeEach(async () => {
    await service.putCatalog(LLM_CONVENTIONS)
    await collector.start()
    const config = (await readSample(GUIDE, 'yaml', 'file_log:'))
      .replace('/var/log/nginx', collector.folder)
      .replace('/var/lib/otelcol/tallybook', join(collector.folder, 'otelcol'))
      .replace('http://collector:4318', collector.url)
    expect(config).not.toContain('/var/')
    const command = await readSample(GUIDE, 'sh', 'otelcol')
    const gates = command.match(/--feature-gates=\S+/g)!
    otelcol = await makeOtelCollector(collector.folder, config, gates)
    await otelcol.start()
  })
  afterEach(() => otelcol.kill())

  test('loses no span that it has confirmed, and none is counted twice', async () => {
    const BATCH = 10
    const send = () => otelcol.post('/v1/traces', makeSpans(BATCH))
    const batches = await sendAndKill(40, send, [collector, otelcol, service, otelcol])
    const spans = BATCH * batches
    const [counted] = await countedOf(collector, service, ['checkout'], spans)
    expect([batches, counted.total_requests]).toEqual([400, spans])
    expect(counted.measures.input_tokens).toBe(7 * spans)
  })

  test.skipIf(!hasNginx)('reads the access log of nginx, each line once', async () => {
    const nginx = await startLoggedNginx(collector.folder)
    try {
      const shipper = { ...otelcol, isSentTo: false }
      const sent = await sendAndKill(100, nginx.send, [collector, shipper, service, shipper])
      const [counted] = await countedOf(collector, service, [nginx.key], sent)
      expect(sent).toBe(1_000)
      expect(counted).toMatchObject(expectedOf(sent))
    } finally {
      await nginx.stop()
    }
  })
})

/** A request with spans of calls of a model, and as many others. */
function makeSpans(count: number): object {
  const attributes = (operation: string) => [
    { key: 'gen_ai.operation.name', value: { stringValue: operation } },
    { key: 'gen_ai.request.model', value: { stringValue: 'gpt-5' } },
    { key: 'gen_ai.usage.input_tokens', value: { intValue: '7' } },
    { key: 'user.id', value: { stringValue: 'checkout' } },
  ]
  const traceId = randomBytes(16).toString('hex')
  const time = `${Date.now()}000000`
  const spans = ['chat', 'invoke_agent'].flatMap((operation) =>
    Array.from({ length: count }, () => ({
      ...{ traceId, spanId: randomBytes(8).toString('hex'), name: operation, kind: 3 },
      ...{ startTimeUnixNano: time, endTimeUnixNano: time, attributes: attributes(operation) },
    })),
  )
  return { resourceSpans: [{ scopeSpans: [{ spans }] }] }
}
