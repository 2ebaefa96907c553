import { expect } from 'bun:test'
import { join } from 'node:path'
import type { CountedKey } from '../../support/collect.ts'
import { readSample, startNginx } from '../../support/reverse-proxy.ts'

export const GUIDE = 'guides/collect-senders.md'

/** An nginx before an upstream that reports usage, which writes the access log of the guide. */
export type LoggedNginx = {
  /** The access log. */
  log: string
  /** The key of its requests. */
  key: string
  /** Sends a request. Each fifth is refused by the upstream. */
  send(index: number): Promise<void>
  stop(): Promise<void>
}

export async function startLoggedNginx(folder: string): Promise<LoggedNginx> {
  const upstream = startUpstream()
  const log = join(folder, 'tallybook.log')
  const target = `proxy_pass http://127.0.0.1:${upstream.port};`
  const nginx = await startNginx(`${await readSample(GUIDE, 'nginx')}
    server {
      listen <listen>;
      location / { ${target} }
      location /v1/ { access_log ${log} tallybook; ${target} }
    }`)
  const key = 'checkout'
  return {
    log,
    key,
    send: async (index) => {
      const headers = { 'x-key-id': key, 'x-fails': String(index % 5 === 0) }
      const { status } = await nginx.fetch('/v1/chat/completions', { headers })
      expect(status).toBe(index % 5 === 0 ? 429 : 200)
    },
    stop: async () => {
      await nginx.stop()
      await upstream.stop(true)
    },
  }
}

/** What is counted after so many requests. */
export const expectedOf = (sent: number): Partial<CountedKey> => ({
  total_requests: sent,
  success_requests: (sent * 4) / 5,
  measures: expect.objectContaining({
    ...{ input_tokens: 8 * sent, output_tokens: 4 * sent, cost_micros: 4 * sent },
  }),
})

/** Answers as a gateway does that reports the usage of each request in headers. */
function startUpstream(): Bun.Server<undefined> {
  return Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: ({ headers }) => {
      if (headers.get('x-fails') === 'true') return new Response('', { status: 429 })
      const usage = { 'x-input-tokens': '10', 'x-output-tokens': '5', 'x-cost': '0.000005' }
      return new Response('{}', { headers: { 'x-model': 'gpt-5', ...usage } })
    },
  })
}
