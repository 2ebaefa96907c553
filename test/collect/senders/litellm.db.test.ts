import { describe, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { LLM_CONVENTIONS } from '../../../src/cli/llm-conventions.ts'
import { type CollectProcess, useCollectProcess } from '../../support/collect.ts'
import { readSample } from '../../support/reverse-proxy.ts'
import { useServiceProcess } from '../../support/service-process.ts'
import { until } from '../../support/until.ts'
import { countedOf, sendAndKill, type Victim } from './kills.ts'
import { COST_MICROS, startLiteLlm } from './litellm.ts'
import { hasProgram, LITELLM } from './programs.ts'

// A real LiteLLM proxy with both of its ways to report, configured as in
// docs/guides/collect-senders.md, while the collector and the service are killed.

const GUIDE = 'guides/collect-senders.md'
const SOME = 20

describe.skipIf(!hasProgram(LITELLM))('a LiteLLM proxy', () => {
  const service = useServiceProcess()
  const collector = useCollectProcess(service)
  // Each way counts for a key of its own; together they would count everything twice.
  const start = () => collector.start({ settings: { key: '"spans"' } })

  test('loses no request by generic_api, nor by otel, whatever is killed', async () => {
    await service.putCatalog(LLM_CONVENTIONS)
    await start()
    const lines = (await readSample(GUIDE, 'yaml', 'callback_settings:'))
      .replace('http://collector:4318', collector.url)
      .replace('["tallybook"]', '["tallybook", "otel"]')
    const exports = (await readSample(GUIDE, 'sh', 'LITELLM_OTEL_V2')).matchAll(/(\w+)=(\S+)/g)
    const env = Object.fromEntries([...exports].map(([, name, value]) => [name!, value!]))
    env.OTEL_ENDPOINT = env.OTEL_ENDPOINT!.replace('http://collector:4318', collector.url)
    const litellm = await startLiteLlm(collector.folder, lines, env)
    try {
      const send = async (index: number) => {
        const isRefused = index % 5 === 0
        expect(await litellm.ask('sk-alice', isRefused)).toBe(isRefused ? 400 : 200)
      }
      const restarted = { kill: () => collector.kill(), start }
      const refusing = refuseUntilAsked(collector, start)
      const sent = await sendAndKill(SOME, send, [refusing, service, restarted])
      const keys = [hash('sha256', 'sk-alice', 'hex'), 'spans']
      const counted = await countedOf(collector, service, keys, sent)
      const successes = (sent * 4) / 5
      const measures = { input_tokens: 1_000 * successes, output_tokens: 100 * successes }
      const expected = { total_requests: sent, success_requests: successes }
      expect(sent).toBe(8 * SOME)
      expect(counted).toMatchObject([
        { ...expected, measures: { ...measures, cost_micros: COST_MICROS * successes } },
        { ...expected, measures },
      ])
    } finally {
      await litellm.stop()
    }
  }, 300_000)
})

/** A collector that is killed; all ways are answered 503 at least once before it is back. */
function refuseUntilAsked(collector: CollectProcess, start: () => Promise<void>): Victim {
  const refused = new Set<string>()
  let standIn: Bun.Server<undefined>
  return {
    kill: async () => {
      await collector.kill()
      const { hostname, port } = new URL(collector.url)
      standIn = Bun.serve({
        ...{ hostname, port: Number(port) },
        fetch: ({ url }) => {
          refused.add(new URL(url).pathname)
          return new Response('', { status: 503 })
        },
      })
    },
    start: async () => {
      await until(() => refused.size === 2)
      await standIn.stop(true)
      await start()
    },
  }
}
