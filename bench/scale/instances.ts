import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openOrigin } from '../../src/proofs/transparency/origin.ts'
import { type Child, startChild } from '../child.ts'
import { type Load, runMeasuredLoad } from '../load.ts'
import type { Address } from '../server.ts'
import { TOKENS } from '../workload.ts'

/** Services on one database, each with a copy of one data directory. */
export type Instances = { children: Child[]; stop(): Promise<void> }

export async function startInstances(
  address: Address,
  { shards, instances }: { shards: number; instances: number },
  originFolder: string,
): Promise<Instances> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-instances-'))
  const children: Child[] = []
  for (let i = 0; i < instances; i++) {
    const dataDir = join(folder, String(i))
    await cp(originFolder, dataDir, { recursive: true })
    const args = ['tallybook', JSON.stringify(address), JSON.stringify({ shards, dataDir })]
    children.push(await startChild('peers/serve.ts', args))
  }
  // The next start continues from the tree heads of the first instance.
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()))
    await cp(join(folder, '0'), originFolder, { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
  }
  return { children, stop }
}

/** Makes a data directory with a signing key and no tree head yet. */
export async function makeOriginFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-origin-'))
  await openOrigin(folder, 'bench.example')
  return folder
}

export type SpreadLoad = { load: Load; cpuSeconds: number }

/** Splits the connections evenly over the instances, with one generator per instance. */
export async function loadAll(
  children: Child[],
  point: { keys: number; connections: number; seconds: number },
): Promise<SpreadLoad> {
  const connections = Math.max(1, Math.round(point.connections / children.length))
  const runs = await Promise.all(
    children.map(({ url }) => runMeasuredLoad({ ...point, url, connections })),
  )
  const sum = (pick: (load: Load) => number) =>
    runs.reduce((total, { load }) => total + pick(load), 0)
  return {
    load: {
      perSecond: sum(({ perSecond }) => perSecond),
      errors: sum(({ errors }) => errors),
      p50Ms: sum(({ p50Ms }) => p50Ms) / runs.length,
      p99Ms: Math.max(...runs.map(({ load }) => load.p99Ms)),
    },
    cpuSeconds: runs.reduce((total, run) => total + run.cpuSeconds, 0),
  }
}

/** Waits until counters and usage reflect the log. */
export async function settle(children: Child[]): Promise<void> {
  for (const path of ['/admin/apikey-stats/summary', '/admin/usage?bucket=hour']) {
    await get(children[0]!.url, path)
  }
}

export async function get(url: string, path: string): Promise<void> {
  const headers = { authorization: `Bearer ${TOKENS.admin}` }
  const response = await fetch(`${url}${path}`, { headers })
  await response.text()
  // The projections are too far behind to wait for: try again.
  if (response.status === 503) return get(url, path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
}

/** Posts one flush. If `spread`, an idempotency key selects a random shard. */
export async function postFlush(url: string, body: string, spread: boolean): Promise<void> {
  const response = await fetch(`${url}/internal/apikey-stats/flush`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${TOKENS.dp}`,
      ...(spread ? { 'idempotency-key': crypto.randomUUID() } : {}),
    },
    body,
  })
  await response.text()
  if (!response.ok) throw new Error(`flush: ${response.status}`)
}
