/**
 * Measures how long no instance folds a shard after its owner ends, and the projection lag with one,
 * two and four instances. Prints the tables of docs/measurements/scale.md.
 *
 *     bun bench/takeover.ts [rounds]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsOwner, type Sql } from '../src/platform/postgres/pool.ts'
import { TOKENS } from '../test/support/service.ts'
import { type Child, startChild } from './child.ts'
import { median, percentile, round } from './measure.ts'
import { type Address, startBenchServer } from './server.ts'
import { makeBody, makeCatalog } from './workload.ts'

const SHARDS = 1
const KEYS = 10
/** Flushes per second over all instances (open loop), and the interval (ms) between two polls. */
const FLUSHES_PER_SECOND = 200
const POLL_INTERVAL_MS = 10
/** Seconds during which the lag is sampled. */
const LAG_S = 20

type Setting = { address: Address; dataDir: string; owner: Sql; running: Child[] }

async function main(rounds: number): Promise<void> {
  const server = await startBenchServer()
  const dataDir = await mkdtemp(join(tmpdir(), 'tallybook-bench-data-'))
  const address = await server.createDatabase('takeover')
  const owner = connectAsOwner(address)
  const setting: Setting = { address, dataDir, owner, running: [] }
  try {
    await startOne(setting)
    await request(setting.running[0]!, '/admin/catalog', 'PUT', JSON.stringify(makeCatalog()))
    const load = startLoad(setting)
    console.log('| ended by | median ms | shortest | longest | flushes without an answer |')
    console.log('| --- | ---: | ---: | ---: | ---: |')
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const times: number[] = []
      const failedBefore = load.failed()
      for (let i = 0; i < rounds; i++) times.push(await takeOver(setting, signal))
      const [min, max] = [Math.min(...times), Math.max(...times)]
      const cells = [round(median(times)), round(min), round(max), load.failed() - failedBefore]
      console.log(`| ${signal} | ${cells.join(' | ')} |`)
    }
    console.log('\n| instances | lag, median ms | p99 | longest |\n| ---: | ---: | ---: | ---: |')
    for (const instances of [1, 2, 4]) {
      await runExactly(setting, instances)
      const lags = await sampleLag(owner)
      const cells = [median(lags), percentile(lags, 0.99), Math.max(...lags)].map(round)
      console.log(`| ${instances} | ${cells.join(' | ')} |`)
    }
    await load.stop()
  } finally {
    await Promise.all(setting.running.map((child) => child.stop()))
    await owner.end()
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function startOne(setting: Setting): Promise<void> {
  const { address, dataDir, running } = setting
  const args = [JSON.stringify(address), String(SHARDS), dataDir, '0']
  running.push(await startChild('../test/faults/instance.ts', args))
}

async function runExactly(setting: Setting, instances: number): Promise<void> {
  while (setting.running.length < instances) await startOne(setting)
  while (setting.running.length > instances) await setting.running.shift()!.stop()
  await untilShared(setting)
}

/** Ends the owner of the shard. Returns the time (ms) until another instance has folded on. */
async function takeOver(setting: Setting, signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
  await runExactly(setting, 2)
  const current = (await untilShared(setting))!
  setting.running.splice(setting.running.indexOf(current), 1)
  const started = performance.now()
  process.kill(current.pid, signal)
  const { head } = await readProgress(setting.owner)
  while ((await readProgress(setting.owner)).checkpoint <= head) await Bun.sleep(POLL_INTERVAL_MS)
  return performance.now() - started
}

/** Waits until all running instances see each other. Returns the owner of the shard. */
async function untilShared({ running }: Setting): Promise<Child | null> {
  for (;;) {
    const statuses = await Promise.all(running.map(readStatus))
    const current = statuses.flatMap(({ instance, instances }, i) =>
      instances.some(({ id, owns }) => id === instance && owns.includes(0)) ? [running[i]!] : [],
    )
    const isSeen = statuses.every(
      ({ instances }) => instances.filter(({ live }) => live).length === running.length,
    )
    if (isSeen && current.length === 1) return current[0]!
    await Bun.sleep(50)
  }
}

type Status = { instance: string; instances: { id: string; live: boolean; owns: number[] }[] }

const readStatus = async (child: Child): Promise<Status> =>
  (await request(child, '/admin/status', 'GET')).json() as Promise<Status>

function request({ url }: Child, path: string, method: string, body?: string): Promise<Response> {
  const token = path.startsWith('/internal') ? TOKENS.dp : TOKENS.admin
  const headers = { authorization: `Bearer ${token}` }
  return fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
}

/** Posts to the running instances in turn, without waiting for answers. */
function startLoad(setting: Setting): { failed(): number; stop(): Promise<void> } {
  let failed = 0
  let posted = 0
  const open = new Set<Promise<unknown>>()
  const timer = setInterval(() => {
    const { running } = setting
    const child = running[posted++ % running.length]
    if (!child) return
    const post = request(child, '/internal/apikey-stats/flush', 'POST', makeBody(KEYS))
      .then((response) => {
        if (!response.ok) failed++
        return response.text()
      })
      .catch(() => failed++)
      .finally(() => open.delete(post))
    open.add(post)
  }, 1_000 / FLUSHES_PER_SECOND)
  return {
    failed: () => failed,
    stop: async () => {
      clearInterval(timer)
      await Promise.all(open)
    },
  }
}

async function readProgress(owner: Sql): Promise<{ head: number; checkpoint: number }> {
  const [row] = await owner<{ head: number; checkpoint: number }[]>`
    select
      (select max(e.position)::integer from tallybook.events e where e.shard = 0) as head,
      (
        select c.position::integer from tallybook.checkpoints c
        where c.shard = 0 and c.projection = 'api_key_counters'
      ) as checkpoint`
  return row!
}

/** Samples the projection lag: the age (ms) of the oldest event that is not folded yet. */
async function sampleLag(owner: Sql): Promise<number[]> {
  const lags: number[] = []
  for (const end = performance.now() + LAG_S * 1_000; performance.now() < end; ) {
    const [row] = await owner<{ lag: number | null }[]>`
      select extract(epoch from clock_timestamp() - e.recorded_at)::float8 * 1000 as lag
      from tallybook.checkpoints c
        join tallybook.events e on e.shard = c.shard and e.position = c.position + 1
      where c.shard = 0 and c.projection = 'api_key_counters'`
    lags.push(row?.lag ?? 0)
    await Bun.sleep(POLL_INTERVAL_MS)
  }
  return lags
}

main(Number(Bun.argv[2] ?? 7)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
