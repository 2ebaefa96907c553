import type { Chart } from './chart.ts'
import { median, round } from './measure.ts'
import type { ProcessorTime } from './processor-time.ts'
import { number, table, thousands } from './report-blocks.ts'
import { type IngestRow, PEERS, type Peer } from './sections/ingest.ts'

/** Names of the peers in the report. */
const PEER_NAMES: Record<Peer, string> = {
  tallybook: 'Tallybook',
  sorted: 'sorted updates',
  direct: 'direct updates',
  collected: 'collected updates',
  redis_always: 'Redis, always',
  redis_everysec: 'Redis, everysec',
  emmett: 'Emmett',
  ceiling: 'ceiling',
  bare: 'bare batches',
}

/** What a crash of the machine can lose of what a peer has answered. */
const LOSSES: Record<Peer, string> = {
  tallybook: 'nothing',
  sorted: 'nothing',
  direct: 'nothing',
  collected: 'the last second',
  redis_always: 'nothing',
  redis_everysec: 'the last second',
  emmett: 'nothing',
  ceiling: 'everything',
  bare: 'nothing',
}

/** The peers that were measured: those with Redis are not if it is missing. */
const peersOf = (rows: IngestRow[]) => PEERS.filter((peer) => rows.some((row) => row.peer === peer))

/** Renders flushes per second of the service and its peers, and what a flush costs each. */
export function renderIngest(rows: IngestRow[]): string {
  const loadOf = (peer: Peer, { keys, connections }: IngestRow) =>
    rows.find((one) => one.peer === peer && one.keys === keys && one.connections === connections)!
      .load
  const own = rows.filter(({ peer }) => peer === 'tallybook')
  const ratio = (row: IngestRow, peer: Peer) => {
    const { perSecond } = loadOf(peer, row)
    return perSecond === 0 ? '∞' : `${round(row.load.perSecond / perSecond)}×`
  }
  const peers = peersOf(rows).filter((peer) => peer !== 'tallybook')
  return [
    'Tallybook, and its flushes per second as a multiple of those of each peer:',
    '',
    table(
      [
        'keys',
        'connections',
        'flushes/s',
        'counts/s',
        'p50 ms',
        'p99 ms',
        'lag s',
        ...peers.map((peer) => `× ${PEER_NAMES[peer]}`),
      ],
      own.map((row) => [
        thousands(row.keys),
        thousands(row.connections),
        thousands(row.load.perSecond),
        thousands(row.load.perSecond * row.keys),
        number(row.load.p50Ms),
        number(row.load.p99Ms),
        number(median(row.lagSeconds)),
        ...peers.map((peer) => ratio(row, peer)),
      ]),
    ),
    '',
    'Flushes per second of the peers, with p50 / p99 in ms; errors in parentheses:',
    '',
    table(
      ['keys', 'connections', ...peers.map((peer) => PEER_NAMES[peer])],
      own.map((row) => [
        thousands(row.keys),
        thousands(row.connections),
        ...peers.map((peer) => {
          const { perSecond, p50Ms, p99Ms, errors } = loadOf(peer, row)
          const failed = errors > 0 ? ` (${thousands(errors)})` : ''
          return `${thousands(perSecond)}${failed}, ${number(p50Ms)} / ${number(p99Ms)}`
        }),
      ]),
    ),
    ...renderProcessor(rows),
  ].join('\n')
}

/** Renders processor time per flush; nothing if it was not measured. */
function renderProcessor(rows: IngestRow[]): string[] {
  const peers = peersOf(rows)
  const points = rows.filter(({ peer, processor }) => peer === 'tallybook' && processor)
  if (points.length === 0) return []
  const cell = (peer: Peer, { keys, connections }: IngestRow) => {
    const processor = rows.find(
      (row) => row.peer === peer && row.keys === keys && row.connections === connections,
    )?.processor
    return [processor?.service, processor?.database].map(micros).join(' + ')
  }
  return [
    '',
    'Processor time per flush in µs, through the end of what it causes: the process that serves it + its',
    'database, each in all / of it in the kernel. Below, what a crash of the machine can lose of what was',
    'answered.',
    '',
    table(
      ['keys', 'connections', ...peers.map((peer) => PEER_NAMES[peer])],
      [
        ...points.map((row) => [
          thousands(row.keys),
          thousands(row.connections),
          ...peers.map((peer) => cell(peer, row)),
        ]),
        ['lost', '', ...peers.map((peer) => LOSSES[peer])],
      ],
    ),
  ]
}

/** Formats a time in all, and of it in the kernel. */
const micros = (time: ProcessorTime | null | undefined) =>
  time ? `${number(time.user + time.system)} / ${number(time.system)}` : '–'

/** Draws flushes per second against the keys in a flush. */
export function ingestChart(rows: IngestRow[]): Chart {
  return {
    title: 'Ingest at 64 connections',
    x: 'keys in a flush',
    y: 'flushes per second',
    series: peersOf(rows).map((peer) => ({
      name: PEER_NAMES[peer],
      dashed: peer === 'ceiling' || peer === 'bare',
      points: rows
        .filter((row) => row.peer === peer && row.connections === 64 && row.load.perSecond > 0)
        .map((row) => [row.keys, row.load.perSecond]),
    })),
  }
}
