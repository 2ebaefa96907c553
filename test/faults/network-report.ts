import { NETWORK_FAULTS, POOLS } from '../support/faulty-proxy.ts'
import type { NetworkReport } from './network.ts'
import { REQUEST_KINDS } from './network-timing.ts'

const OF = ['all', ...POOLS, 'one of two instances'] as const

/** What a whole run came to, as docs/measurements/reliability.md shows it: in seconds, the longest of each. */
export function tablesOf(reports: readonly NetworkReport[]): string {
  return `${byKind(reports)}\n\n${byConnections(reports)}`
}

/** A row a fault: the longest request of each kind, and until all was back. */
function byKind(reports: readonly NetworkReport[]): string {
  const rows = faultsOf(reports).map((fault) => {
    const of = reports.filter((report) => report.fault === fault)
    const longest = REQUEST_KINDS.map((kind) => {
      return longestOf(of.map(({ timings }) => timings[kind].longestMs))
    })
    const back = longestOf(of.map(({ recoveryMs }) => recoveryMs))
    return [
      fault,
      ...longest,
      back,
      ...(['acked', 'lost', 'doubled'] as const).map((count) => sumOf(of, count)),
    ]
  })
  return tableOf(['fault', ...REQUEST_KINDS, 'back', 'acknowledged', 'lost', 'doubled'], rows)
}

/** A row a fault: for each kind of connections the longest request, and until all was back. */
function byConnections(reports: readonly NetworkReport[]): string {
  const rows = faultsOf(reports).map((fault) => [
    fault,
    ...OF.map((of) => {
      const report = reports.find((one) => one.fault === fault && ofWhat(one) === of)
      if (!report) return ''
      const longest = longestOf(REQUEST_KINDS.map((kind) => report.timings[kind].longestMs))
      return `${longest}, ${longestOf([report.recoveryMs])}`
    }),
  ])
  return tableOf(['fault', ...OF], rows)
}

const faultsOf = (reports: readonly NetworkReport[]) =>
  NETWORK_FAULTS.filter((fault) => reports.some((report) => report.fault === fault))

/** Which connections the fault concerned. */
export const ofWhat = ({ hasOther, purpose }: Pick<NetworkReport, 'hasOther' | 'purpose'>) =>
  hasOther ? 'one of two instances' : purpose

const sumOf = (reports: readonly NetworkReport[], count: 'acked' | 'lost' | 'doubled') =>
  reports.reduce((sum, report) => sum + report[count], 0)

const longestOf = (ms: number[]) => (Math.max(0, ...ms) / 1_000).toFixed(1)

function tableOf(head: readonly string[], rows: (string | number)[][]): string {
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
