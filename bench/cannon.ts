/**
 * Load from autocannon if wrk is not installed: 64 flushes in turn. Prints one line of JSON.
 * `bun bench/cannon.ts <url> <keys> <connections> <seconds> [<with details>]`
 */
import type { Load } from './load.ts'
import { makeBody, TOKENS } from './workload.ts'

/** The used part of autocannon, which bench/package.json installs. */
type Autocannon = (options: object) => Promise<{
  duration: number
  errors: number
  non2xx: number
  '2xx': number
  latency: { p50: number; p99: number }
}>

const PACKAGE = 'autocannon'

async function main([url = '', keys = '', connections = '', seconds = '', details]: string[]) {
  const { default: autocannon } = (await import(PACKAGE)) as { default: Autocannon }
  const result = await autocannon({
    url: `${url}/internal/apikey-stats/flush`,
    connections: Number(connections),
    duration: Number(seconds),
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.dp}` },
    requests: Array.from({ length: 64 }, () => ({
      body: makeBody(Number(keys), details === 'true'),
    })),
  })
  const load: Load = {
    perSecond: result['2xx'] / result.duration,
    errors: result.errors + result.non2xx,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
  console.log(JSON.stringify(load))
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
