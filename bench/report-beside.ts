import { round } from './measure.ts'
import type { BesideRow } from './sections/beside.ts'

/** A table of rebuilds beside ingest; of two numbers the second is without a rebuild. */
export function renderBeside(rows: BesideRow[]): string {
  const both = ([beside, without]: [number, number]) => `${text(beside)} / ${text(without)}`
  const lines: [string, (row: BesideRow) => string][] = [
    ['counts', ({ counts }) => text(counts)],
    ['seconds until the last projection was live', ({ seconds }) => text(seconds)],
    ['events read a second, over all tracks', (row) => text(row.eventsPerSecond)],
    ['rows tampered with / told of', (row) => `${row.tampered} / ${row.drifted}`],
    ['flushes/s meanwhile / without', (row) => both(row.flushesPerSecond)],
    ['reads, errors among them, backwards', countReads],
    ['summary p50 ms, beside / without', (row) => both(row.readP50Ms)],
    ['summary p99 ms, beside / without', (row) => both(row.readP99Ms)],
    ['longest summary ms, beside / without', (row) => both(row.longestReadMs)],
  ]
  const head = ['', ...rows.map(({ events }) => `${text(events)} events`)]
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:'))]
    .concat(lines.map(([name, of]) => [name, ...rows.map(of)]))
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

const countReads = ({ reads, readErrors, readsBackwards }: BesideRow) =>
  `${text(reads)}, ${readErrors}, ${readsBackwards}`

const text = (value: number) => round(value).toLocaleString('en')
