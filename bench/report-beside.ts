import { round } from './measure.ts'
import type { BesideRow } from './sections/beside.ts'

/** Renders rebuilds during ingest; the second of two numbers is without a rebuild. */
export function renderBeside(rows: BesideRow[]): string {
  const both = ([beside, without]: [number, number]) => `${text(beside)} / ${text(without)}`
  const lines: [string, (row: BesideRow) => string][] = [
    ['counts', ({ counts }) => text(counts)],
    ['seconds until the last projection was live', ({ seconds }) => text(seconds)],
    ['events read per second, all projection groups', (row) => text(row.eventsPerSecond)],
    ['rows tampered with / reported', (row) => `${row.tampered} / ${row.drifted}`],
    ['flushes/s, during / without', (row) => both(row.flushesPerSecond)],
    ['reads, errors, decreasing totals', countReads],
    ['summary p50 ms, during / without', (row) => both(row.readP50Ms)],
    ['summary p99 ms, during / without', (row) => both(row.readP99Ms)],
    ['longest summary ms, during / without', (row) => both(row.longestReadMs)],
  ]
  const head = ['', ...rows.map(({ events }) => `${text(events)} events`)]
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:'))]
    .concat(lines.map(([name, pick]) => [name, ...rows.map(pick)]))
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

const countReads = ({ reads, readErrors, readsBackwards }: BesideRow) =>
  `${text(reads)}, ${readErrors}, ${readsBackwards}`

const text = (value: number) => round(value).toLocaleString('en')
