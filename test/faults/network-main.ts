import { startTestServer } from '../runner/server.ts'
import { NETWORK_FAULTS, type NetworkFault, POOLS, type Purpose } from '../support/faulty-proxy.ts'
import { failNetwork, type NetworkReport } from './network.ts'
import { REAL, RECOVERY_MS } from './network-limits.ts'
import { connectionsOf, tablesOf } from './network-report.ts'
import { REQUEST_KINDS } from './network-timing.ts'

/** Campaigns at once: most of their time is spent waiting. */
const AT_ONCE = 6

/** The delay of each chunk under the fault `delay`, the load, and the time-outs. */
const CONDITIONS = { delayMs: { shortest: 100, longest: 3_000 }, pauseMs: 60, bounds: REAL }

type Pair = { fault: NetworkFault; purpose: Purpose; hasOther: boolean }

/** Each fault on each kind of connections, and on all connections of one of two instances. */
const PAIRS: Pair[] = [
  ...NETWORK_FAULTS.flatMap((fault) =>
    ['all' as const, ...POOLS].map((purpose) => ({ fault, purpose, hasOther: false })),
  ),
  ...NETWORK_FAULTS.map((fault) => ({ fault, purpose: 'all' as const, hasOther: true })),
]

/**
 * Runs every pair, or those of one fault, with the time-outs of production, and prints a row for
 * each and tables of all. Returns true if nothing was wrong.
 */
export async function runNetworkCampaigns(
  seed: number,
  seconds: number,
  only?: string,
): Promise<boolean> {
  const server = await startTestServer()
  process.env.TALLYBOOK_TEST_SERVER = JSON.stringify(server.address)
  const queue = [...PAIRS.entries()].filter(([, { fault }]) => (only ?? fault) === fault)
  const reports: NetworkReport[] = []
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [i, pair] = next
      const options = { seed: seed + i, faultMs: 1_000 * seconds, ...CONDITIONS }
      const report = await failNetwork({ ...pair, ...options }).catch((error: Error) => {
        throw new Error(`${pair.fault} of ${pair.purpose}: ${error.message}`, { cause: error })
      })
      if (report.recoveryMs > RECOVERY_MS) report.late.push('recovered too late')
      reports.push(report)
      console.log(rowOf(report))
      for (const what of [...report.violations, ...report.late]) console.error(`  ${what}`)
    }
  }
  try {
    console.log(`| fault | of | ${REQUEST_KINDS.join(' | ')} | back | acked | lost | doubled |`)
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    console.log(`\n${tablesOf(reports)}`)
  } finally {
    await server.stop()
  }
  return reports.every(({ violations, late }) => violations.length + late.length === 0)
}

/** Formats the longest request of each kind and the recovery time, in seconds. */
function rowOf(report: NetworkReport): string {
  const { fault, timings, recoveryMs, acked, lost, doubled } = report
  const inSeconds = (ms: number) => (ms / 1_000).toFixed(1)
  const connections = connectionsOf(report)
  const longest = REQUEST_KINDS.map((kind) => inSeconds(timings[kind].longestMs))
  const cells = [fault, connections, ...longest, inSeconds(recoveryMs), acked, lost, doubled]
  return `| ${cells.join(' | ')} |`
}
