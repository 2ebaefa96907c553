/**
 * Measures reads of a service that reads from a replica and of one that does not, in turn, on one
 * primary and its replica: `bun bench/replicas.ts [rounds]`. Prints the medians over all rounds.
 */
import { type Servers, startServers } from '../test/cluster/replicas/servers.ts'
import { type Child, startChild } from './child.ts'
import { median, percentile, round } from './measure.ts'
import { postSteadily } from './sections/reads.ts'
import { makeCatalog, TOKENS } from './workload.ts'

const SUMMARY = '/admin/apikey-stats/summary'
const KEYS = 10
const FLUSHES_PER_SECOND = 200
/** Reads of each kind per round, one after the other. */
const READS = 300
/** Concurrent readers, to measure reads per second. */
const READERS = 16
const SECONDS = 4

const KINDS = {
  'idle, one reader': { flushes: 0, path: SUMMARY },
  'under ingest, one reader': { flushes: FLUSHES_PER_SECOND, path: SUMMARY },
  'under ingest, eventual': {
    flushes: FLUSHES_PER_SECOND,
    path: `${SUMMARY}?consistency=eventual`,
  },
} as const

type Samples = Map<string, number[]>

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 5)
  const servers = await startServers(1)
  const samples: Samples = new Map()
  try {
    for (let i = 0; i < rounds; i++) {
      for (const side of ['primary', 'replica'] as const) {
        await measureSide(servers, side, samples)
      }
      console.error(`round ${i + 1} of ${rounds}`)
    }
  } finally {
    await servers.end()
  }
  for (const [name, values] of samples) console.log(`${name}: ${round(median(values))}`)
}

async function measureSide(
  servers: Servers,
  side: 'primary' | 'replica',
  samples: Samples,
): Promise<void> {
  const note = (name: string, value: number) => {
    const key = `${name}, ${side}`
    samples.set(key, [...(samples.get(key) ?? []), value])
  }
  const replicas = side === 'primary' ? [] : [servers.replica.address]
  const args = ['tallybook', JSON.stringify(servers.primary.address), JSON.stringify({ replicas })]
  const child = await startChild('peers/serve.ts', args)
  try {
    await fillCatalog(child)
    await timeReads(child.url, SUMMARY)
    for (const [name, { flushes, path }] of Object.entries(KINDS)) {
      const ingest = postSteadily(child.url, KEYS, flushes)
      const ms = await timeReads(child.url, path)
      await ingest.stop()
      note(`${name}, p50 ms`, percentile(ms, 0.5))
      note(`${name}, p99 ms`, percentile(ms, 0.99))
    }
    const ingest = postSteadily(child.url, KEYS, FLUSHES_PER_SECOND)
    note(`under ingest, ${READERS} readers, reads/s`, await countReads(child.url))
    await ingest.stop()
    if (side === 'replica') await noteServed(child, note)
  } finally {
    await child.stop()
  }
}

async function fillCatalog({ url }: Child): Promise<void> {
  const response = await fetch(`${url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify(makeCatalog()),
  })
  if (!response.ok) throw new Error(`catalog: ${response.status}`)
}

async function read(url: string, path: string): Promise<void> {
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${TOKENS.admin}` } })
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  await response.text()
}

async function timeReads(url: string, path: string): Promise<number[]> {
  const ms: number[] = []
  for (let i = 0; i < READS; i++) {
    const started = performance.now()
    await read(url, path)
    ms.push(performance.now() - started)
  }
  return ms
}

async function countReads(url: string): Promise<number> {
  const end = performance.now() + SECONDS * 1_000
  let count = 0
  const reader = async () => {
    for (; performance.now() < end; count++) await read(url, SUMMARY)
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  return count / SECONDS
}

/** Notes the percentage of reads that the replica answered. */
async function noteServed({ url }: Child, note: (name: string, value: number) => void) {
  const text = await (await fetch(`${url}/metrics`)).text()
  const sum = (pattern: RegExp) =>
    [...text.matchAll(pattern)].reduce((all, [, count]) => all + Number(count), 0)
  const replica = sum(/^tallybook_replica_reads_total (\d+)$/gm)
  const primary = sum(/^tallybook_replica_fallbacks_total\{.*\} (\d+)$/gm)
  note('answered by the replica, percent', (100 * replica) / (replica + primary))
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
