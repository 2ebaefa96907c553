import { type Child, runChild, runMeasuredChild } from '../child.ts'
import type { Neighbour, NeighbourOptions } from '../noisy/neighbour.ts'
import type { Noise, NoiseOptions } from '../noisy/noise.ts'
import { NOISES, type NoiseName, type NoisyRole } from '../noisy/requests.ts'
import { type Meter, openMeter, type Reading } from '../scale/meter.ts'
import type { BenchServer } from '../server.ts'
import { TOKENS } from '../workload.ts'
import { startAt } from './reads.ts'

/** Effect of one request, repeated over many connections, on another client. */
export type NoisyRow = {
  name: NoiseName
  role: NoisyRole
  connections: number
  /** The other client alone, shortly before, and together with the noisy one. */
  alone: Neighbour
  beside: Neighbour
  /** Answers to the noisy client. */
  noise: Noise
  /** Processor time (ms) per answer to the noisy client, of the service and of the database. */
  serviceMs: number
  databaseMs: number
  /** Share of one processor that the noisy client itself used. */
  noiseShare: number
}

export type NoisyOptions = {
  keysPerFlush: number
  events: number
  connections: number[]
  /** Duration of each measurement, alone and together. */
  seconds: number
  /** Only requests whose name contains one of these; all if absent. */
  names?: string[] | undefined
}

/** Pause (ms) between the start of the noisy client and the measurement, and after its end. */
const SETTLE_MS = 1_000

/** Measures one request after the other, each with a neighbour that was measured alone before. */
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
  const costOf = (pick: (spent: Watched['spent']) => number) =>
    answers === 0 ? 0 : (Math.max(0, pick(beside.spent) - pick(alone.spent)) / answers) * 1_000
  return {
    ...{ name, role: NOISES[name].role, connections },
    ...{ alone: alone.neighbour, beside: beside.neighbour, noise },
    serviceMs: costOf(({ service }) => service),
    databaseMs: costOf(({ database }) => database),
    noiseShare: cpuSeconds / noiseSeconds,
  }
}

/** Latencies of the neighbour, and processor seconds spent per second in that time. */
type Watched = { neighbour: Neighbour; spent: { service: number; database: number } }

async function watch(meter: Meter, options: NeighbourOptions): Promise<Watched> {
  const before = await meter.read()
  const neighbour = await runChild<Neighbour>('noisy/neighbour.ts', [JSON.stringify(options)])
  const after = await meter.read()
  const per = (pick: (reading: Reading) => number) =>
    (pick(after) - pick(before)) / (after.at - before.at)
  const database = per(({ append, project, background }) => append + project + background)
  return { neighbour, spent: { service: per(({ service }) => service), database } }
}

/** Creates a token for the noisy gateway, as the neighbour has another one. */
async function makeToken(url: string): Promise<string> {
  const response = await fetch(`${url}/admin/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({ name: 'noisy', role: 'dp' }),
  })
  if (response.status !== 201) throw new Error(`POST /admin/tokens: ${response.status}`)
  return ((await response.json()) as { token: string }).token
}

/** Formats a progress line. */
function describe({ name, connections, alone, beside, noise, ...row }: NoisyRow): string {
  const ratios = (['flush', 'live', 'ready'] as const).map((client) => {
    const [a, b] = [alone[client], beside[client]]
    const ratio = (x: number, y: number) => (y / x).toFixed(1)
    return `${client} ${ratio(a.p50Ms, b.p50Ms)}× ${ratio(a.p99Ms, b.p99Ms)}×`
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
