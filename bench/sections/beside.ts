import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { type Child, runChild, startChild } from '../child.ts'
import { startHistory } from '../history.ts'
import { median, percentile } from '../measure.ts'
import type { RebuildRun } from '../readers/rebuild.ts'
import type { Address, BenchServer } from '../server.ts'
import { makeBody, TOKENS } from '../workload.ts'

/** A rebuild of all projections beside ingest and a reader, and the same without the rebuild. */
export type BesideRow = {
  events: number
  counts: number
  /** Until the last projection was live, and events read a second over all tracks. */
  seconds: number
  eventsPerSecond: number
  /** Rows tampered with before, and rows that the rebuild told of. */
  tampered: number
  drifted: number
  /** Flushes a second that the service took meanwhile, and without the rebuild. */
  flushesPerSecond: [beside: number, without: number]
  reads: number
  readErrors: number
  /** Reads whose total was smaller than one before. */
  readsBackwards: number
  readP50Ms: [beside: number, without: number]
  readP99Ms: [beside: number, without: number]
  longestReadMs: [beside: number, without: number]
}

export type BesideOptions = {
  keysPerFlush: number
  events: number[]
  /** Of ingest, open loop. */
  flushesPerSecond: number
  /** Seconds of the same without a rebuild. */
  seconds: number
}

/** Each size on a database of its own. */
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
    const both = (of: (watched: Watched) => number): [number, number] => [of(beside), of(without)]
    return {
      ...{ events, counts: events * keysPerFlush, seconds: took, tampered, drifted },
      eventsPerSecond: read / took,
      flushesPerSecond: both(({ flushes, seconds: of }) => flushes / of),
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

/** Changes a counter of some keys, as somebody might by hand; gives how many rows. */
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

/** Posts at a rate and reads the summary one read after the other while `run` runs. */
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
    const underWay: Promise<void>[] = []
    for (let posted = 0; !stopped; await Bun.sleep(10)) {
      const due = ((performance.now() - started) / 1_000) * load.flushesPerSecond
      for (; posted < due; posted++) underWay.push(post())
    }
    await Promise.all(underWay)
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
