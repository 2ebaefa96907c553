import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { type Child, runChild, startChild } from '../child.ts'
import { type Load, runLoad } from '../load.ts'
import { median } from '../measure.ts'
import type { Address, BenchServer } from '../server.ts'
import { makeCatalog, TOKENS } from '../workload.ts'

/** The peers, in the order of each round. */
export const PEERS = ['tallybook', 'sorted', 'direct', 'emmett', 'ceiling', 'bare'] as const
export type Peer = (typeof PEERS)[number]

export type IngestRow = {
  peer: Peer
  keys: number
  connections: number
  /** Medians over the rounds. */
  load: Load
  /** Projection lag (s) at the end of each round; only for Tallybook. */
  lagSeconds: number[]
}

export type IngestOptions = {
  keys: number[]
  connections: number[]
  seconds: number
  rounds: number
}

const WARM_UP = { keys: 10, connections: 16, seconds: 2 }

type Running = { peer: Peer; address: Address; child: Child | null }

/** Measures flushes per second of every peer, one after the other in each round, on one server. */
export async function measureIngest(
  server: BenchServer,
  { keys, connections, seconds, rounds }: IngestOptions,
): Promise<IngestRow[]> {
  const running: Running[] = []
  try {
    for (const peer of PEERS) {
      const one = await startPeer(server, peer)
      running.push(one)
      // Compiles code and opens connections before anything is measured.
      await runPoint(one, WARM_UP)
      await settle(one)
    }
    const rows = new Map<string, { row: IngestRow; loads: Load[] }>()
    for (let round = 0; round < rounds; round++) {
      for (const keysPerFlush of keys) {
        for (const count of connections) {
          for (const one of running) {
            const point = { keys: keysPerFlush, connections: count, seconds }
            const load = await runPoint(one, point)
            const name = `${one.peer} ${keysPerFlush} ${count}`
            const row = { peer: one.peer, keys: keysPerFlush, connections: count, load }
            const known = rows.get(name) ?? { row: { ...row, lagSeconds: [] }, loads: [] }
            rows.set(name, known)
            known.loads.push(load)
            if (one.peer === 'tallybook') known.row.lagSeconds.push(await readLag(one.child!.url))
            await settle(one)
          }
          console.error(`round ${round + 1}: ${keysPerFlush} keys, ${count} connections`)
        }
      }
    }
    return [...rows.values()].map(({ row, loads }) => ({ ...row, load: medianLoad(loads) }))
  } finally {
    for (const { child } of running) await child?.stop()
  }
}

async function startPeer(server: BenchServer, peer: Peer): Promise<Running> {
  const address = await server.createDatabase(`ingest_${peer}`)
  if (peer === 'bare') return { peer, address, child: null }
  const child = await startChild('peers/serve.ts', [peer, JSON.stringify(address)])
  if (peer === 'tallybook') await putCatalog(child.url)
  return { peer, address, child }
}

export async function putCatalog(url: string, apiKeys?: number): Promise<void> {
  const response = await fetch(`${url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify(makeCatalog(apiKeys)),
  })
  if (!response.ok) throw new Error(`catalog: ${response.status} ${await response.text()}`)
}

type Point = { keys: number; connections: number; seconds: number }

function runPoint({ child, address }: Running, { keys, connections, seconds }: Point) {
  if (child) return runLoad({ url: child.url, keys, connections, seconds })
  const args = [JSON.stringify(address), keys, connections, seconds].map(String)
  return runChild<Load>('peers/bare-batches.ts', args)
}

/** Ends the remaining work of a peer, so that it does not slow the next one. */
async function settle({ peer, address, child }: Running): Promise<void> {
  if (peer === 'tallybook') {
    // A read waits for the projector.
    await fetch(`${child!.url}/admin/apikey-stats/summary`, {
      headers: { authorization: `Bearer ${TOKENS.admin}` },
    })
  }
  if (peer === 'direct' || peer === 'sorted') await cancelAll(address)
  // Leaves no dirty pages either.
  const owner = connectAsOwner(address)
  await owner`checkpoint`
  await owner.end()
  await Bun.sleep(300)
}

/** The clients are gone, but their transactions may still wait for each other's rows. */
async function cancelAll(address: Address): Promise<void> {
  const owner = connectAsOwner(address)
  let busy: readonly unknown[]
  do {
    busy = await owner`
      select pg_cancel_backend(pid)
      from pg_stat_activity
      where datname = ${address.database} and pid <> pg_backend_pid() and state <> 'idle'`
    await Bun.sleep(20)
  } while (busy.length > 0)
  await owner.end()
}

export async function readLag(url: string): Promise<number> {
  const response = await fetch(`${url}/admin/projections`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })
  const { items } = (await response.json()) as { items: { name: string; lag_seconds: number }[] }
  // Usage and snapshots lag by design.
  const counters = items.filter(({ name }) => name.endsWith('_counters'))
  return Math.max(...counters.map(({ lag_seconds }) => lag_seconds))
}

function medianLoad(loads: Load[]): Load {
  const medianOf = (value: (load: Load) => number) => median(loads.map(value))
  return {
    perSecond: medianOf(({ perSecond }) => perSecond),
    errors: medianOf(({ errors }) => errors),
    p50Ms: medianOf(({ p50Ms }) => p50Ms),
    p99Ms: medianOf(({ p99Ms }) => p99Ms),
  }
}
