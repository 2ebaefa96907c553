import { join } from 'node:path'
import { cpuSecondsOf, runMeasuredChild } from './child.ts'
import { TOKENS } from './workload.ts'

/** Result of one run. `errors` are requests without a 2xx answer; `perSecond` excludes them. */
export type Load = { perSecond: number; errors: number; p50Ms: number; p99Ms: number }

/** `withDetails`: entries have dimensions and measures. */
export type LoadOptions = {
  url: string
  keys: number
  connections: number
  seconds: number
  withDetails?: boolean
}

/**
 * The load generator: wrk if it is installed, otherwise autocannon, which takes more processor time
 * and reports whole milliseconds.
 */
export const GENERATOR = Bun.which('wrk') === null ? 'autocannon' : 'wrk'

/** Posts flushes as fast as they are answered, from a separate process. */
export const runLoad = async (options: LoadOptions): Promise<Load> =>
  (await runMeasuredLoad(options)).load

/** A load, and the processor time (s) that its generator took. */
export type MeasuredLoad = { load: Load; cpuSeconds: number }

export function runMeasuredLoad(options: LoadOptions): Promise<MeasuredLoad> {
  if (GENERATOR === 'wrk') return runWrk(options)
  const { url, keys, connections, seconds, withDetails = false } = options
  return runCannon([url, keys, connections, seconds, withDetails].map(String))
}

async function runCannon(args: string[]): Promise<MeasuredLoad> {
  const { result, cpuSeconds } = await runMeasuredChild<Load>('cannon.ts', args)
  return { load: result, cpuSeconds }
}

async function runWrk(options: LoadOptions): Promise<MeasuredLoad> {
  const { url, keys, connections, seconds, withDetails } = options
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
    {
      env: {
        ...process.env,
        ...{ KEYS: String(keys), DETAILS: withDetails ? '1' : '', TOKEN: TOKENS.dp },
      },
      stdout: 'pipe',
    },
  )
  const output = await wrk.stdout.text()
  await wrk.exited
  const load = JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? 'null') as Load
  return { load, cpuSeconds: cpuSecondsOf(wrk) }
}
