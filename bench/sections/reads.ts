import { type Child, startChild } from '../child.ts'
import { startHistory } from '../history.ts'
import { percentile } from '../measure.ts'
import type { BenchServer } from '../server.ts'
import { makeBody, TOKENS } from '../workload.ts'

/** Pages that are read, by name; `{position}` is a random position in the log. */
export const PAGES = {
  summary: '/admin/apikey-stats/summary',
  'group list': '/admin/provider-groups',
  'key page': '/admin/api-keys?limit=100',
  usage: '/admin/usage?bucket=hour',
  'summary as of': '/admin/apikey-stats/summary?as_of_position=0/{position}',
  'key page as of': '/admin/api-keys?limit=100&as_of_position=0/{position}',
  'one key as of': '/admin/api-keys/1?as_of_position=0/{position}',
} as const
export type Page = keyof typeof PAGES

/** Latency (ms) of a page over all rounds, at one log size. */
export type ReadRow = {
  page: Page
  events: number
  /** True if flushes of ten keys were posted at the same time, `flushesPerSecond` of them. */
  underIngest: boolean
  p50Ms: number
  p99Ms: number
}

export type ReadsOptions = {
  keysPerFlush: number
  events: number[]
  rounds: number
  /** Reads of each page per round, one after the other. */
  readsPerRound: number
  flushesPerSecond: number
}

type Running = { events: number; child: Child }

/** Measures every page at every log size in turn: one service and database per size, one server. */
export async function measureReads(server: BenchServer, options: ReadsOptions): Promise<ReadRow[]> {
  const running: Running[] = []
  const samples = new Map<string, { row: Omit<ReadRow, 'p50Ms' | 'p99Ms'>; ms: number[] }>()
  try {
    for (const events of options.events) {
      running.push(await startAt(server, events, options.keysPerFlush))
      console.error(`reads: ${events} events appended`)
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const underIngest of [false, true]) {
        for (const { events, child } of running) {
          const flushesPerSecond = underIngest ? options.flushesPerSecond : 0
          const ingest = postSteadily(child.url, options.keysPerFlush, flushesPerSecond)
          for (const page of Object.keys(PAGES) as Page[]) {
            const name = `${page} ${events} ${underIngest}`
            const known = samples.get(name) ?? { row: { page, events, underIngest }, ms: [] }
            samples.set(name, known)
            const reads = { path: PAGES[page], events, count: options.readsPerRound }
            known.ms.push(...(await timeReads(child.url, reads)))
          }
          await ingest.stop()
        }
      }
      console.error(`reads: round ${round + 1}`)
    }
  } finally {
    for (const { child } of running) await child.stop()
  }
  return [...samples.values()].map(({ row, ms }) => ({
    ...row,
    p50Ms: percentile(ms, 0.5),
    p99Ms: percentile(ms, 0.99),
  }))
}

/** Starts a service whose log has this many flushes, all of them folded. */
export async function startAt(server: BenchServer, events: number, keysPerFlush: number) {
  const address = await server.createDatabase(`reads_${events}`)
  const history = await startHistory(address, { keysPerFlush })
  await history.extendTo(events)
  await history.close()
  const child = await startChild('peers/serve.ts', ['tallybook', JSON.stringify(address)])
  await readUntilFolded(child.url)
  await readUntilSnapshots(child.url)
  // Warms the code up.
  for (const path of Object.values(PAGES)) await timeReads(child.url, { path, events, count: 100 })
  return { events, address, child }
}

/** A read waits for the projections, and is answered 503 if that takes too long. */
export async function readUntilFolded(url: string): Promise<void> {
  for (const path of [PAGES.summary, PAGES.usage]) {
    for (let status = 503; status !== 200; status = (await read(url, path)).status) {
      if (status !== 503) throw new Error(`${path}: ${status}`)
    }
  }
}

/** Waits until the lag of snapshots no longer changes, as no further one is due. */
export async function readUntilSnapshots(url: string): Promise<void> {
  for (let last = Number.NaN; ; await Bun.sleep(1_500)) {
    const response = await read(url, '/admin/projections')
    const { items } = (await response.json()) as { items: { name: string; lag_events: number }[] }
    const { lag_events } = items.find(({ name }) => name === 'snapshots')!
    if (lag_events === last) return
    last = lag_events
  }
}

type Reads = { path: string; events: number; count: number }

async function timeReads(url: string, reads: Reads): Promise<number[]> {
  const ms: number[] = []
  for (let i = 0; i < reads.count; i++) {
    const position = Math.floor(Math.random() * reads.events)
    const path = reads.path.replace('{position}', String(position))
    const started = performance.now()
    const response = await read(url, path)
    if (!response.ok) throw new Error(`${path}: ${response.status}`)
    await response.text()
    ms.push(performance.now() - started)
  }
  return ms
}

const read = (url: string, path: string) =>
  fetch(url + path, { headers: { authorization: `Bearer ${TOKENS.admin}` } })

/** Posts flushes at a rate: every 10 ms those that are due. */
export function postSteadily(url: string, keysPerFlush: number, flushesPerSecond: number) {
  const body = makeBody(keysPerFlush)
  const post = async () => {
    const response = await fetch(`${url}/internal/apikey-stats/flush`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.dp}` },
      body,
    })
    if (!response.ok) throw new Error(`a flush was answered ${response.status}`)
    await response.text()
  }
  const started = performance.now()
  let posted = 0
  let stopped = flushesPerSecond === 0
  const run = async () => {
    const inFlight: Promise<void>[] = []
    while (!stopped) {
      const due = Math.floor(((performance.now() - started) / 1_000) * flushesPerSecond)
      for (; posted < due; posted++) inFlight.push(post())
      await Bun.sleep(10)
    }
    await Promise.all(inFlight)
  }
  const running = run()
  return {
    stop: async () => {
      stopped = true
      await running
    },
  }
}
