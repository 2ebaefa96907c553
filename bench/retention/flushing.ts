import { percentile } from '../measure.ts'
import { makeBody, TOKENS } from '../workload.ts'
import { GATEWAY } from './history.ts'

/** Latency (ms) of flushes that were posted at a fixed rate. */
export type Latency = { p50Ms: number; p99Ms: number; longestMs: number }

/** Flushes that are posted at a rate, whether or not the ones before were answered. */
export type Flushing = {
  /** Returns the latency of those posted since the last call, after all of them were answered. */
  take(): Promise<Latency>
  stop(): Promise<void>
}

/** Posts flushes at a rate, each with an idempotency key of its own. */
export function startFlushing(url: string, perSecond: number): Flushing {
  const body = makeBody(GATEWAY.keys)
  const run = crypto.randomUUID()
  let posted = 0
  let ms: number[] = []
  let inFlight: Promise<void>[] = []
  const post = async (number: number) => {
    const started = performance.now()
    const response = await fetch(`${url}/internal/apikey-stats/flush`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.dp}`, 'idempotency-key': `${run}/${number}` },
      body,
    })
    await response.text()
    if (!response.ok) throw new Error(`a flush was answered ${response.status}`)
    ms.push(performance.now() - started)
  }
  const timer = setInterval(() => inFlight.push(post(posted++)), 1_000 / perSecond)
  const settle = async () => {
    const due = inFlight
    inFlight = []
    await Promise.all(due)
  }
  return {
    take: async () => {
      await settle()
      const taken = ms
      ms = []
      return {
        p50Ms: percentile(taken, 0.5),
        p99Ms: percentile(taken, 0.99),
        longestMs: Math.max(...taken),
      }
    },
    stop: async () => {
      clearInterval(timer)
      await settle()
    },
  }
}
