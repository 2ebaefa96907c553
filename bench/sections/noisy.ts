import { type Child, runChild, runMeasuredChild } from '../child.ts'
import type { Neighbour, NeighbourOptions } from '../noisy/neighbour.ts'
import type { Noise, NoiseOptions } from '../noisy/noise.ts'
import { NOISES, type NoiseName, type NoisyRole } from '../noisy/requests.ts'
import { type Meter, openMeter, type Reading } from '../scale/meter.ts'
import type { BenchServer } from '../server.ts'
import { TOKENS } from '../workload.ts'
import { startAt } from './reads.ts'

/** What one request, over many connections, does to another client. */
export type NoisyRow = {
  name: NoiseName
  role: NoisyRole
  connections: number
  /** Alone, shortly before. */
  alone: Neighbour
  beside: Neighbour
  /** Of the noisy client. */
  noise: Noise
  /** Milliseconds of a processor for each of its answers: of the service, and of the database. */
  serviceMs: number
  databaseMs: number
  /** Of one processor, all the time: what the noisy client took itself. */
  noiseShare: number
}

export type NoisyOptions = {
  keysPerFlush: number
  events: number
  connections: number[]
  /** Of each measurement, alone and beside. */
  seconds: number
  /** These only; all if absent. */
  names?: string[] | undefined
}

/** From the noisy client's start until it is measured, and until it has been forgotten. */
const SETTLE_MS = 1_000

/** One request after the other, each beside a client that behaves, which was measured alone before. */
export async function measureNoisy(
  server: BenchServer,
  options: NoisyOptions,
): Promise<NoisyRow[]> {
  const { events, keysPerFlush } = options
  const { address, child } = await startAt(server, events, keysPerFlush)
  const meter = await openMeter(address, [child.pid])
  const rows: NoisyRow[] = []
  try {
    const dpToken = await makeToken(child.url)
    for (const name of namesOf(options)) {
      for (const connections of options.connections) {
        const row = await measureOne(child, meter, { ...options, name, connections, dpToken })
        rows.push(row)
        console.error(describe(row))
      }
    }
  } finally {
    await meter.close()
    await child.stop()
  }
  return rows
}

function namesOf({ names }: NoisyOptions): NoiseName[] {
  const all = Object.keys(NOISES) as NoiseName[]
  return names === undefined ? all : all.filter((name) => names.some((part) => name.includes(part)))
}

type One = Omit<NoisyOptions, 'connections'> & Omit<NoiseOptions, 'url'>

async function measureOne(child: Child, meter: Meter, options: One): Promise<NoisyRow> {
  const { name, connections, seconds, events, dpToken } = options
  const { url } = child
  const alone = await watch(meter, { url, seconds })
  const noiseSeconds = seconds + SETTLE_MS / 1_000 + 1
  const noisy = runMeasuredChild<Noise>('noisy/noise.ts', [
    JSON.stringify({ name, url, connections, events, dpToken, seconds: noiseSeconds }),
  ])
  await Bun.sleep(SETTLE_MS)
  const beside = await watch(meter, { url, seconds })
  const { result: noise, cpuSeconds } = await noisy
  if ('lingers' in NOISES[name]) await meter.untilIdle()
  else await Bun.sleep(SETTLE_MS)
  const answers = Object.values(noise.perSecond).reduce((sum, count) => sum + count, 0)
  const costOf = (of: (spent: Watched['spent']) => number) =>
    answers === 0 ? 0 : (Math.max(0, of(beside.spent) - of(alone.spent)) / answers) * 1_000
  return {
    ...{ name, role: NOISES[name].role, connections },
    ...{ alone: alone.neighbour, beside: beside.neighbour, noise },
    serviceMs: costOf(({ service }) => service),
    databaseMs: costOf(({ database }) => database),
    noiseShare: cpuSeconds / noiseSeconds,
  }
}

/** What the neighbour saw, and what was spent meanwhile: seconds of a processor in each second. */
type Watched = { neighbour: Neighbour; spent: { service: number; database: number } }

async function watch(meter: Meter, options: NeighbourOptions): Promise<Watched> {
  const before = await meter.read()
  const neighbour = await runChild<Neighbour>('noisy/neighbour.ts', [JSON.stringify(options)])
  const after = await meter.read()
  const per = (of: (reading: Reading) => number) =>
    (of(after) - of(before)) / (after.at - before.at)
  const database = per(({ append, project, background }) => append + project + background)
  return { neighbour, spent: { service: per(({ service }) => service), database } }
}

/** A token of another gateway than the neighbour's. */
async function makeToken(url: string): Promise<string> {
  const response = await fetch(`${url}/admin/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({ name: 'noisy', role: 'dp' }),
  })
  if (response.status !== 201) throw new Error(`POST /admin/tokens: ${response.status}`)
  return ((await response.json()) as { token: string }).token
}

/** A line while it runs. */
function describe({ name, connections, alone, beside, noise, ...row }: NoisyRow): string {
  const ratios = (['flush', 'live', 'ready'] as const).map((of) => {
    const [a, b] = [alone[of], beside[of]]
    const ratio = (x: number, y: number) => (y / x).toFixed(1)
    return `${of} ${ratio(a.p50Ms, b.p50Ms)}× ${ratio(a.p99Ms, b.p99Ms)}×`
  })
  const answers = Object.entries(noise.perSecond).map(
    ([status, n]) => `${status}: ${Math.round(n)}`,
  )
  return (
    `noisy: ${name}, ${connections}: ${ratios.join(', ')}; longest ` +
    `${Math.round(beside.flush.longestMs)} ms; refused ${beside.flush.refused}; ` +
    `${answers.join(' ')} a second, ${row.serviceMs.toFixed(2)} + ${row.databaseMs.toFixed(2)} ms; ` +
    `noise ${Math.round(row.noiseShare * 100)} %`
  )
}
