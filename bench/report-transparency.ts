import { round } from './measure.ts'
import type { TransparencyRow } from './sections/transparency.ts'

/** Renders what the transparency log costs ingest at full load. */
export function renderTransparency(rows: TransparencyRow[]): string {
  const head = [
    ...['keys', 'connections', 'flushes/s', 'without a tree', 'ratio', '95 %'],
    ...['events behind at the end', 'seconds until signed'],
  ]
  return [head, head.map(() => '---:')]
    .concat(
      rows.map((row) => [
        ...[row.keys, row.connections, row.withTree, row.without, row.ratio].map(text),
        row.between.map(text).join(' to '),
        ...[row.behindEvents, row.behindSeconds].map(text),
      ]),
    )
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

const text = (value: number) => round(value).toLocaleString('en')
