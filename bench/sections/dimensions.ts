import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { runLoad } from '../load.ts'
import { median } from '../measure.ts'
import type { BenchServer } from '../server.ts'
import { DIMENSIONS, MEASURES, TOKENS } from '../workload.ts'
import { interval, type Running, settle, start } from './transparency.ts'

/**
 * Flushes per second with and without two dimensions and four measures, medians over rounds, and
 * bytes of their payloads.
 */
export type DimensionsRow = {
  keys: number
  connections: number
  detailed: number
  plain: number
  /** Median over the rounds of the ratio of the two runs of a round. */
  ratio: number
  /** 95 % confidence interval of the median. */
  between: [number, number]
  detailedBytes: number
  plainBytes: number
}

export type DimensionsOptions = {
  points: { keys: number; connections: number }[]
  seconds: number
  rounds: number
}

/** Posts both kinds of flushes to one service, in turns of random order. */
export async function measureDimensions(
  server: BenchServer,
  { points, seconds, rounds }: DimensionsOptions,
): Promise<DimensionsRow[]> {
  const service = await start(server, 'dimensions')
  await declare(service)
  const load = async (point: { keys: number; connections: number }, withDetails: boolean) => {
    const { perSecond } = await runLoad({ url: service.child.url, ...point, seconds, withDetails })
    await settle(service)
    return perSecond
  }
  try {
    const rows: DimensionsRow[] = []
    for (const point of points) {
      // Compiles code, and accepts the combinations of the day.
      for (const withDetails of [false, true]) await load(point, withDetails)
      const runs: { detailed: number; plain: number }[] = []
      for (let round = 0; round < rounds; round++) {
        const run = { detailed: 0, plain: 0 }
        for (const kind of Math.random() < 0.5 ? KINDS : KINDS.toReversed()) {
          run[kind] = await load(point, kind === 'detailed')
        }
        runs.push(run)
      }
      const ratios = runs.map(({ detailed, plain }) => detailed / plain)
      rows.push({
        ...point,
        detailed: median(runs.map(({ detailed }) => detailed)),
        plain: median(runs.map(({ plain }) => plain)),
        ratio: median(ratios),
        between: interval(ratios),
        ...(await readBytes(service)),
      })
      console.error(`dimensions: ${point.keys} keys, ${point.connections} connections`)
    }
    return rows
  } finally {
    await service.child.stop()
  }
}

const KINDS = ['detailed', 'plain'] as const

async function declare({ child }: Running): Promise<void> {
  const named = (names: readonly string[]) => names.map((name) => ({ name }))
  const response = await fetch(`${child.url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({ dimensions: named(DIMENSIONS), measures: named(MEASURES) }),
  })
  if (!response.ok) throw new Error(`catalog: ${response.status} ${await response.text()}`)
}

/** Reads the mean size of the newest payloads of both kinds. */
async function readBytes({ address }: Running) {
  const owner = connectAsOwner(address)
  const rows = await owner<{ version: number; bytes: number }[]>`
    select n.version, avg(octet_length(n.payload::text))::float8 as bytes
    from (
      select
        e.version, e.payload,
        row_number() over (partition by e.version order by e.position desc) as newest
      from events e
      where e.type = 'ApiKeyStatsFlushed'
    ) n
    where n.newest <= 1000
    group by n.version`
  await owner.end()
  const bytesOf = (version: number) => rows.find((row) => row.version === version)?.bytes ?? 0
  return { detailedBytes: bytesOf(5), plainBytes: bytesOf(2) }
}
