import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { type Child, runChild, startChild } from '../child.ts'
import { startHistory } from '../history.ts'
import { median, percentile } from '../measure.ts'
import type { RebuildRun } from '../readers/rebuild.ts'
import type { Address, BenchServer } from '../server.ts'
import { makeBody, TOKENS } from '../workload.ts'

/** A rebuild of all projections during ingest and reads, compared with the load alone. */
export type BesideRow = {
  events: number
  counts: number
  /** Time until the last projection was live, and events read per second by all groups. */
  seconds: number
  eventsPerSecond: number
  /** Rows tampered with before, and rows that the rebuild reported. */
  tampered: number
  drifted: number
  /** Accepted flushes per second during the rebuild, and without it. */
  flushesPerSecond: [beside: number, without: number]
  reads: number
  readErrors: number
  /** Reads with a smaller total than an earlier read. */
  readsBackwards: number
  readP50Ms: [beside: number, without: number]
  readP99Ms: [beside: number, without: number]
  longestReadMs: [beside: number, without: number]
}

export type BesideOptions = {
  keysPerFlush: number
  events: number[]
  /** Rate of the ingest (open loop). */
  flushesPerSecond: number
  /** Duration of the load without a rebuild. */
  seconds: number
}

/** Measures each log size on a separate database. */
export async function measureBeside(
  server: BenchServer,
  options: BesideOptions,
): Promise<BesideRow[]> {
  const rows: BesideRow[] = []
  for (const events of options.events) {
    const address = await server.createDatabase(`beside_${events}`)
    const history = await startHistory(address, { keysPerFlush: options.keysPerFlush })
    await history.extendTo(events)
    await history.close()
    rows.push(await measureAt(address, events, options))
    await server.dropDatabase(`beside_${events}`)
    console.error(`beside: ${events} events`)
  }
  return rows
}

async function measureAt(
  address: Address,
  events: number,
  { keysPerFlush, flushesPerSecond, seconds }: BesideOptions,
): Promise<BesideRow> {
  const child = await startChild('peers/serve.ts', ['tallybook', JSON.stringify(address)])
  try {
    await readUntilFolded(child)
    const tampered = await tamper(address)
    const load = { keysPerFlush, flushesPerSecond }
    const without = await watch(child, load, () => Bun.sleep(seconds * 1_000))
    let run: RebuildRun | null = null
    const beside = await watch(child, load, async () => {
      run = await runChild<RebuildRun>('readers/rebuild.ts', [JSON.stringify(address)])
    })
    const { seconds: took, events: read, drifted } = run!
    const both = (pick: (watched: Watched) => number): [number, number] => [
      pick(beside),
      pick(without),
    ]
    return {
      ...{ events, counts: events * keysPerFlush, seconds: took, tampered, drifted },
      eventsPerSecond: read / took,
      flushesPerSecond: both((watched) => watched.flushes / watched.seconds),
      reads: beside.ms.length,
      readErrors: beside.errors,
      readsBackwards: beside.backwards,
      readP50Ms: both(({ ms }) => median(ms)),
      readP99Ms: both(({ ms }) => percentile(ms, 0.99)),
      longestReadMs: both(({ ms }) => Math.max(...ms)),
    }
  } finally {
    await child.stop()
  }
}

/** Changes the counters of some keys as if by hand. Returns the number of rows. */
async function tamper(address: Address): Promise<number> {
  const owner = connectAsOwner(address)
  const rows = await owner`
    update api_key_counters set requests = requests + 1 where api_key_id % 1000 = 7
    returning api_key_id`
  await owner.end()
  return rows.length
}

async function readUntilFolded({ url }: Child): Promise<void> {
  for (let status = 503; status !== 200; ) status = (await readSummary(url)).status
}

const readSummary = (url: string) =>
  fetch(`${url}/admin/apikey-stats/summary`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })

type Watched = {
  seconds: number
  flushes: number
  ms: number[]
  errors: number
  backwards: number
}

/** Posts at a rate and reads the summary in a loop while `run` runs. */
async function watch(
  { url }: Child,
  load: { keysPerFlush: number; flushesPerSecond: number },
  run: () => Promise<void>,
): Promise<Watched> {
  const watched: Watched = { seconds: 0, flushes: 0, ms: [], errors: 0, backwards: 0 }
  const body = makeBody(load.keysPerFlush)
  const started = performance.now()
  let stopped = false
  const post = async () => {
    const request = { method: 'POST', headers: { authorization: `Bearer ${TOKENS.dp}` }, body }
    const response = await fetch(`${url}/internal/apikey-stats/flush`, request)
    await response.text()
    if (response.ok) watched.flushes++
    else watched.errors++
  }
  const postAll = async () => {
    const inFlight: Promise<void>[] = []
    for (let posted = 0; !stopped; await Bun.sleep(10)) {
      const due = ((performance.now() - started) / 1_000) * load.flushesPerSecond
      for (; posted < due; posted++) inFlight.push(post())
    }
    await Promise.all(inFlight)
  }
  const readAll = async () => {
    for (let total = 0; !stopped; await Bun.sleep(20)) {
      const began = performance.now()
      const response = await readSummary(url)
      const read = response.ok
        ? ((await response.json()) as { total_requests: number }).total_requests
        : null
      watched.ms.push(performance.now() - began)
      if (read === null) watched.errors++
      else if (read < total) watched.backwards++
      else total = read
    }
  }
  const running = Promise.all([postAll(), readAll()])
  await run()
  watched.seconds = (performance.now() - started) / 1_000
  stopped = true
  await running
  return watched
}
