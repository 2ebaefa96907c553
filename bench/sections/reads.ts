import { type Child, startChild } from '../child.ts'
import { startHistory } from '../history.ts'
import { percentile } from '../measure.ts'
import type { BenchServer } from '../server.ts'
import { makeBody, TOKENS } from '../workload.ts'

/** What is read, by what it is called; {position} is any that the log has. */
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

/** Milliseconds that a page took over all rounds, at one size of the log. */
export type ReadRow = {
  page: Page
  events: number
  /** True: beside flushes of ten keys, `flushesPerSecond` of them. */
  underIngest: boolean
  p50Ms: number
  p99Ms: number
}

export type ReadsOptions = {
  keysPerFlush: number
  events: number[]
  rounds: number
  /** Of each page in each round, one after the other. */
  readsPerRound: number
  flushesPerSecond: number
}

type Running = { events: number; child: Child }

/** Every page at every size, in turns: a service and a database a size, on one server. */
export async function measureReads(server: BenchServer, options: ReadsOptions): Promise<ReadRow[]> {
  const running: Running[] = []
  const samples = new Map<string, { row: Omit<ReadRow, 'p50Ms' | 'p99Ms'>; ms: number[] }>()
  try {
    for (const events of options.events) {
      running.push(await startAt(server, events, options.keysPerFlush))
      console.error(`reads: ${events} events are there`)
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

/** A service whose log has so many events, all of them folded. */
export async function startAt(server: BenchServer, events: number, keysPerFlush: number) {
  const address = await server.createDatabase(`reads_${events}`)
  const history = await startHistory(address, { keysPerFlush })
  await history.extendTo(events)
  await history.close()
  const child = await startChild('peers/serve.ts', ['tallybook', JSON.stringify(address)])
  await readUntilFolded(child.url)
  await readUntilSnapshots(child.url)
  // Until the code is warm.
  for (const path of Object.values(PAGES)) await timeReads(child.url, { path, events, count: 100 })
  return { events, address, child }
}

/** A read waits until what it shows is folded, and is refused where that takes long. */
async function readUntilFolded(url: string): Promise<void> {
  for (const path of [PAGES.summary, PAGES.usage]) {
    for (let status = 503; status !== 200; status = (await read(url, path)).status) {
      if (status !== 503) throw new Error(`${path}: ${status}`)
    }
  }
}

/** Snapshots follow by themselves: until what they lack is less than lies between two of them. */
async function readUntilSnapshots(url: string): Promise<void> {
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

/** Posts flushes at a rate, every ten milliseconds what is due. */
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
    const underWay: Promise<void>[] = []
    while (!stopped) {
      const due = Math.floor(((performance.now() - started) / 1_000) * flushesPerSecond)
      for (; posted < due; posted++) underWay.push(post())
      await Bun.sleep(10)
    }
    await Promise.all(underWay)
  }
  const running = run()
  return {
    stop: async () => {
      stopped = true
      await running
    },
  }
}
