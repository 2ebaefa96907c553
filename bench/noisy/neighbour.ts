/**
 * A well-behaved client that posts flushes of ten keys and requests /health/live and /health/ready
 * at a modest rate. Prints one line of JSON. `bun bench/noisy/neighbour.ts <options as JSON>`
 */
import { percentile } from '../measure.ts'
import { makeBody, TOKENS } from '../workload.ts'
import { Connection, toBytes } from './connection.ts'

export type NeighbourOptions = { url: string; seconds: number }

/** Latency (ms) of 200 answers; `refused` counts the other answers. */
export type Latency = { p50Ms: number; p99Ms: number; longestMs: number; refused: number }
export type Neighbour = { flush: Latency; live: Latency; ready: Latency }

const FLUSH_PATH = '/internal/apikey-stats/flush'
/** Connections, and the mean pause (ms) between an answer and the next request. */
const FLUSHES = { connections: 8, pauseMs: 40 }
const PROBES = { connections: 2, pauseMs: 20 }

async function main([text = '']: string[]): Promise<void> {
  const options = JSON.parse(text) as NeighbourOptions
  const authorization = `Bearer ${TOKENS.dp}`
  const flushes = Array.from({ length: 64 }, () =>
    toBytes('POST', FLUSH_PATH, { authorization }, makeBody(10)),
  )
  const probe = (path: string) => watch(options, PROBES, [toBytes('GET', path, {})])
  const [flush, live, ready] = await Promise.all([
    watch(options, FLUSHES, flushes),
    probe('/health/live'),
    probe('/health/ready'),
  ])
  console.log(JSON.stringify({ flush, live, ready } satisfies Neighbour))
  process.exit(0)
}

async function watch(
  { url, seconds }: NeighbourOptions,
  { connections, pauseMs }: typeof FLUSHES,
  requests: Uint8Array[],
): Promise<Latency> {
  const ms: number[] = []
  let refused = 0
  const end = performance.now() + seconds * 1_000
  const run = async (_: unknown, first: number) => {
    const connection = new Connection(new URL(url))
    for (let i = first; performance.now() < end; i++) {
      const started = performance.now()
      const status = await connection.send(requests[i % requests.length]!)
      if (status === 200) ms.push(performance.now() - started)
      else refused++
      await Bun.sleep(pauseMs * (0.5 + Math.random()))
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: connections }, run))
  return {
    p50Ms: percentile(ms, 0.5),
    p99Ms: percentile(ms, 0.99),
    longestMs: ms.reduce((longest, one) => Math.max(longest, one), 0),
    refused,
  }
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
