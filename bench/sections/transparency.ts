import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { type Child, startChild } from '../child.ts'
import { runLoad } from '../load.ts'
import { median } from '../measure.ts'
import type { Address, BenchServer } from '../server.ts'
import { TOKENS } from '../workload.ts'
import { putCatalog } from './ingest.ts'

/** Cost of the tree at one point: flushes per second with and without it, medians over rounds. */
export type TransparencyRow = {
  keys: number
  connections: number
  withTree: number
  without: number
  /** Median over the rounds of the ratio of the two runs of a round. */
  ratio: number
  /** 95 % confidence interval of the median, from the order statistics of the rounds. */
  between: [number, number]
  /** Lag of the signed tree at the end of a run, in events and in seconds until it caught up. */
  behindEvents: number
  behindSeconds: number
}

export type TransparencyOptions = {
  points: { keys: number; connections: number }[]
  seconds: number
  rounds: number
}

export type Running = { address: Address; child: Child }
type Run = { withTree: number; without: number; behind: number; seconds: number }

const ratioOf = ({ withTree, without }: Run) => withTree / without

/**
 * Measures flushes per second of two services that differ only in the tree: in the database of one,
 * the function that integrates events does nothing. They take turns. Their order and pauses are
 * random, so that nothing periodic on the machine can favour one of them.
 */
export async function measureTransparency(
  server: BenchServer,
  { points, seconds, rounds }: TransparencyOptions,
): Promise<TransparencyRow[]> {
  const tree = await start(server, 'with_tree')
  const plain = await start(server, 'without_tree')
  const owner = connectAsOwner(plain.address)
  await owner.unsafe(`
    create or replace function integrate_events(p_shard integer, p_limit integer) returns integer
    language sql as 'select 0'`)
  await owner.end()
  try {
    const rows: TransparencyRow[] = []
    for (const one of [tree, plain]) await load(one, { keys: 10, connections: 16 }, 2)
    for (const point of points) {
      const runs: Run[] = []
      for (let round = 0; round < rounds; round++) {
        const run = { withTree: 0, without: 0, behind: 0, seconds: 0 }
        for (const one of Math.random() < 0.5 ? [tree, plain] : [plain, tree]) {
          const perSecond = await load(one, point, seconds)
          if (one === plain) run.without = perSecond
          else Object.assign(run, { withTree: perSecond, ...(await catchUp(tree)) })
          await settle(one)
        }
        runs.push(run)
      }
      const medianOf = (value: (run: Run) => number) => median(runs.map(value))
      rows.push({
        ...point,
        withTree: medianOf(({ withTree }) => withTree),
        without: medianOf(({ without }) => without),
        ratio: medianOf(ratioOf),
        between: interval(runs.map(ratioOf)),
        behindEvents: medianOf(({ behind }) => behind),
        behindSeconds: medianOf((run) => run.seconds),
      })
      console.error(`${point.keys} keys, ${point.connections} connections`)
    }
    return rows
  } finally {
    await tree.child.stop()
    await plain.child.stop()
  }
}

export async function start(server: BenchServer, name: string): Promise<Running> {
  const address = await server.createDatabase(name)
  const child = await startChild('peers/serve.ts', ['tallybook', JSON.stringify(address)])
  await putCatalog(child.url)
  return { address, child }
}

type Point = { keys: number; connections: number }

async function load({ child }: Running, point: Point, seconds: number): Promise<number> {
  return (await runLoad({ url: child.url, ...point, seconds })).perSecond
}

/** Reads how far the signed tree is behind the log, and waits until it has caught up. */
async function catchUp(one: Running): Promise<{ behind: number; seconds: number }> {
  const owner = connectAsOwner(one.address)
  const [row] = await owner`select max(e.position) + 1 as events from events e`
  await owner.end()
  const events = Number(row!.events)
  const started = performance.now()
  const behind = Math.max(0, events - (await readTreeSize(one)))
  while ((await readTreeSize(one)) < events) await Bun.sleep(20)
  return { behind, seconds: (performance.now() - started) / 1000 }
}

async function readTreeSize({ child }: Running): Promise<number> {
  const response = await fetch(`${child.url}/audit/log/0/checkpoint`, {
    headers: { authorization: `Bearer ${TOKENS.auditor}` },
  })
  return Number((await response.text()).split('\n')[1])
}

/** Finishes projections and dirty pages, so that the next run waits for neither. */
export async function settle({ address, child }: Running): Promise<void> {
  await fetch(`${child.url}/admin/apikey-stats/summary`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })
  const owner = connectAsOwner(address)
  await owner`checkpoint`
  await owner.end()
  await Bun.sleep(300 + Math.random() * 1_000)
}

/** Returns the order statistics 0.98 √n from the middle: the binomial 95 % interval. */
export function interval(values: number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b)
  const distance = Math.ceil(0.98 * Math.sqrt(sorted.length))
  const middle = (sorted.length - 1) / 2
  const low = Math.max(0, Math.floor(middle - distance))
  const high = Math.min(sorted.length - 1, Math.ceil(middle + distance))
  return [sorted[low]!, sorted[high]!]
}
