import { expect, test } from 'bun:test'
import { makeRequests, NOISES, type NoiseName } from '../../bench/noisy/requests.ts'
import { renderNoisy } from '../../bench/report-noisy.ts'
import type { NoisyRow } from '../../bench/sections/noisy.ts'

const latency = (p50Ms: number) => ({ p50Ms, p99Ms: 2 * p50Ms, longestMs: 50, refused: 0 })
const neighbour = (ms: number) => ({ flush: latency(ms), live: latency(ms), ready: latency(ms) })

const ROW: NoisyRow = {
  ...{ name: 'explain all, 1,000', role: 'auditor', connections: 64 },
  ...{ alone: neighbour(2), beside: neighbour(8) },
  noise: { perSecond: { 200: 10, 429: 3, 503: 2 }, bytesPerSecond: 1_000 },
  ...{ serviceMs: 1.5, databaseMs: 20, noiseShare: 0.05 },
}

test('a row shows how much slower the neighbour was, and the responses to the noisy client', () => {
  const [head, , line] = renderNoisy([ROW]).split('\n')
  expect(line).toBe(
    '| auditor: explain all, 1,000, 64 | **4×** | **4×** | **4×** | **4×** | **4×** | **4×** ' +
      '| 10 | 5 | 1.5 | 20 | 5 % |',
  )
  expect(head!.split(' | ')).toHaveLength(line!.split(' | ').length)
})

test('each request is complete and has the token of its role', () => {
  for (const name of Object.keys(NOISES) as NoiseName[]) {
    if (name.includes('16 MiB')) continue
    const { requests } = makeRequests(name, { events: 1_000, dpToken: 'noisy-token' })
    const [head, body] = Buffer.from(requests[0]!).toString('latin1').split('\r\n\r\n')
    expect(head).toMatch(/^(GET|POST|PUT) \/\S* HTTP\/1\.1\r\nhost: localhost/)
    expect(head).not.toContain('{')
    const length = /content-length: (\d+)/.exec(head!)?.[1] ?? '0'
    expect([name, body!.length]).toEqual([name, Number(length)])
    if (NOISES[name].role === 'dp') expect(head).toContain('Bearer noisy-token')
  }
})
