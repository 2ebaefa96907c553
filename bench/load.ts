import { join } from 'node:path'
import { makeEntries, TOKENS } from './workload.ts'

/** What one run of load came to. `errors` were not answered 2xx, and are not in `perSecond`. */
export type Load = { perSecond: number; errors: number; p50Ms: number; p99Ms: number }

export type LoadOptions = { url: string; keys: number; connections: number; seconds: number }

/** The load generator: wrk where it is installed, else autocannon (slower, so it takes more CPU). */
export const GENERATOR = Bun.which('wrk') === null ? 'autocannon' : 'wrk'

/** Posts flushes as fast as they are answered, from a process of its own. */
export function runLoad(options: LoadOptions): Promise<Load> {
  return GENERATOR === 'wrk' ? runWrk(options) : runAutocannon(options)
}

async function runWrk({ url, keys, connections, seconds }: LoadOptions): Promise<Load> {
  const script = join(import.meta.dir, 'flush.lua')
  const target = `${url}/internal/apikey-stats/flush`
  const wrk = Bun.spawn(
    [
      'wrk',
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      '--timeout',
      '60s',
      '--latency',
      '-s',
      script,
      target,
    ],
    { env: { ...process.env, KEYS: String(keys), TOKEN: TOKENS.dp }, stdout: 'pipe' },
  )
  const output = await wrk.stdout.text()
  return JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? 'null') as Load
}

/** As autocannon's command prints it with --json. */
type Cannon = {
  duration: number
  errors: number
  non2xx: number
  '2xx': number
  latency: { p50: number; p99: number }
}

async function runAutocannon({ url, keys, connections, seconds }: LoadOptions): Promise<Load> {
  const { ids, requests, successes } = makeEntries(keys)
  const body = JSON.stringify({
    keys: ids.map((id, i) => ({
      api_key_id: id,
      requests: requests[i],
      success_requests: successes[i],
    })),
  })
  const cannon = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, 'node_modules/autocannon/autocannon.js'),
      '--json',
      '-m',
      'POST',
      '-c',
      String(connections),
      '-d',
      String(seconds),
      '-H',
      `authorization=Bearer ${TOKENS.dp}`,
      '-i',
      '/dev/stdin',
      `${url}/internal/apikey-stats/flush`,
    ],
    { stdin: Buffer.from(body), stdout: 'pipe', stderr: 'ignore' },
  )
  const result = JSON.parse(await cannon.stdout.text()) as Cannon
  return {
    perSecond: result['2xx'] / result.duration,
    errors: result.errors + result.non2xx,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}
