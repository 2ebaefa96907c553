import { round } from './measure.ts'
import type { Results } from './results.ts'
import type { IngestRow, Peer } from './sections/ingest.ts'

/** A ratio with its goal; `measured` is null if this run did not measure it. */
export type Reach = { what: string; goal: string; measured: number | null; reached: boolean }

/** Compares the ratios of one run with their goals. */
export function evaluate(results: Results): Reach[] {
  const ingest = results.ingest?.result ?? []
  const rebuild = results.rebuild?.result ?? []
  const reads = results.reads?.result ?? []
  const footprint = results.footprint?.result

  const row = (peer: Peer, keys: number, connections: number): IngestRow | undefined =>
    ingest.find((one) => one.peer === peer && one.keys === keys && one.connections === connections)
  const rate = (peer: Peer, keys: number, connections: number) =>
    row(peer, keys, connections)?.load.perSecond
  const against = (peer: Peer, keys: number, connections: number) =>
    divide(rate('tallybook', keys, connections), rate(peer, keys, connections))

  const largest = rebuild.at(-1)
  const grouped = rebuild.findLast(({ groupBySeconds }) => groupBySeconds !== null)
  const peakAt = (events: number) => rebuild.find((one) => one.events === events)?.foldPeakMb
  const summaryAt = (events: number) =>
    reads.find((one) => one.page === 'summary' && one.events === events && !one.underIngest)?.p99Ms

  return [
    atLeast(
      'ingest, 100 keys, 64 connections, against sorted updates',
      80,
      against('sorted', 100, 64),
    ),
    atLeast(
      'ingest, 1 key, 256 connections, against sorted updates',
      14,
      against('sorted', 1, 256),
    ),
    atLeast('ingest, 1 key, 256 connections, of the ceiling', 0.75, against('ceiling', 1, 256)),
    atLeast(
      'ingest, 100 keys, 256 connections, of the ceiling',
      0.75,
      against('ceiling', 100, 256),
    ),
    atMost(
      'a lone flush, p50, against one bare commit',
      1.5,
      divide(row('tallybook', 1, 1)?.load.p50Ms, row('bare', 1, 1)?.load.p50Ms),
    ),
    atLeast(
      `rebuild of ${count(largest?.events)} events against the bare reader`,
      0.5,
      divide(largest?.bareSeconds, largest?.foldSeconds),
    ),
    atLeast(
      `rebuild of ${count(grouped?.events)} events against SQL GROUP BY`,
      4,
      divide(grouped?.groupBySeconds ?? undefined, grouped?.foldSeconds),
    ),
    atMost('summary, p99, 10^6 events against 10^3', 1.5, divide(summaryAt(1e6), summaryAt(1e3))),
    atMost(
      'bytes in the log per count, 100 keys a flush',
      12,
      footprint?.log.find(({ keysPerFlush }) => keysPerFlush === 100)?.bytesPerCount,
    ),
    atLeast(
      'ingest with the transparency log, of that without, worst case',
      0.95,
      results.transparency && Math.min(...results.transparency.result.map(({ ratio }) => ratio)),
    ),
    atMost(
      "rebuild's peak memory, 10^6 events against 10^4",
      1.2,
      divide(peakAt(1e6), peakAt(1e4)),
    ),
  ]
}

const divide = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? undefined : a / b

const count = (events: number | undefined) => (events ?? 0).toLocaleString('en')

const atLeast = (what: string, goal: number, measured: number | undefined): Reach => ({
  what,
  goal: `≥ ${goal}`,
  measured: measured === undefined ? null : round(measured),
  reached: measured !== undefined && measured >= goal,
})

const atMost = (what: string, goal: number, measured: number | undefined): Reach => ({
  what,
  goal: `≤ ${goal}`,
  measured: measured === undefined ? null : round(measured),
  reached: measured !== undefined && measured <= goal,
})
