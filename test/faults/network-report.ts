import { NETWORK_FAULTS, POOLS } from '../support/faulty-proxy.ts'
import type { NetworkReport } from './network.ts'
import { REQUEST_KINDS } from './network-timing.ts'

const CONNECTIONS = ['all', ...POOLS, 'one of two instances'] as const

/** The tables of a run in docs/measurements/reliability.md: the longest of each, in seconds. */
export function tablesOf(reports: readonly NetworkReport[]): string {
  return `${byKind(reports)}\n\n${byConnections(reports)}`
}

/** One row per fault: the longest request of each kind, and the recovery time. */
function byKind(reports: readonly NetworkReport[]): string {
  const rows = faultsOf(reports).map((fault) => {
    const matching = reports.filter((report) => report.fault === fault)
    const longest = REQUEST_KINDS.map((kind) => {
      return longestOf(matching.map(({ timings }) => timings[kind].longestMs))
    })
    const back = longestOf(matching.map(({ recoveryMs }) => recoveryMs))
    return [
      fault,
      ...longest,
      back,
      ...(['acked', 'lost', 'doubled'] as const).map((count) => sumOf(matching, count)),
    ]
  })
  return tableOf(['fault', ...REQUEST_KINDS, 'back', 'acknowledged', 'lost', 'doubled'], rows)
}

/** One row per fault: for each kind of connections the longest request and the recovery time. */
function byConnections(reports: readonly NetworkReport[]): string {
  const rows = faultsOf(reports).map((fault) => [
    fault,
    ...CONNECTIONS.map((connections) => {
      const report = reports.find(
        (one) => one.fault === fault && connectionsOf(one) === connections,
      )
      if (!report) return ''
      const longest = longestOf(REQUEST_KINDS.map((kind) => report.timings[kind].longestMs))
      return `${longest}, ${longestOf([report.recoveryMs])}`
    }),
  ])
  return tableOf(['fault', ...CONNECTIONS], rows)
}

const faultsOf = (reports: readonly NetworkReport[]) =>
  NETWORK_FAULTS.filter((fault) => reports.some((report) => report.fault === fault))

/** The connections that the fault affected. */
export const connectionsOf = ({
  hasOther,
  purpose,
}: Pick<NetworkReport, 'hasOther' | 'purpose'>) => (hasOther ? 'one of two instances' : purpose)

const sumOf = (reports: readonly NetworkReport[], count: 'acked' | 'lost' | 'doubled') =>
  reports.reduce((sum, report) => sum + report[count], 0)

const longestOf = (ms: number[]) => (Math.max(0, ...ms) / 1_000).toFixed(1)

function tableOf(head: readonly string[], rows: (string | number)[][]): string {
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
