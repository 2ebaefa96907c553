import { round } from './measure.ts'
import { table } from './report-blocks.ts'
import type { DimensionsRow } from './sections/dimensions.ts'

/** Renders what two dimensions and four measures cost ingest at full load. */
export function renderDimensions(rows: DimensionsRow[]): string {
  return table(
    [
      ...['keys', 'connections', 'flushes/s', 'plain flushes/s', 'ratio', '95 %'],
      ...['bytes of a payload', 'of a plain one', 'ratio'],
    ],
    rows.map((row) => [
      ...[row.keys, row.connections, row.detailed, row.plain, row.ratio].map(text),
      row.between.map(text).join(' to '),
      ...[row.detailedBytes, row.plainBytes, row.detailedBytes / row.plainBytes].map(text),
    ]),
  )
}

const text = (value: number) => round(value).toLocaleString('en')
