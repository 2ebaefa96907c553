import { round } from './measure.ts'
import { table } from './report-blocks.ts'
import type { Collect } from './sections/collect.ts'

/** Renders what a collector takes, and its memory while the service is away. */
export function renderCollect({ rows, memory }: Collect): string {
  return [
    table(
      ['records', 'bytes of text in each', 'records/s', 'µs of processor time each', 'a core’s'],
      rows.map(({ encoding, textBytes, recordsPerSecond, cpuMicros }) => [
        encoding,
        ...[textBytes, recordsPerSecond, cpuMicros, 1e6 / cpuMicros].map(text),
      ]),
    ),
    '',
    table(
      ['records taken while the service is away', ...memory.map(({ records }) => text(records))],
      [['resident memory, MB', ...memory.map(({ megabytes }) => text(megabytes))]],
    ),
  ].join('\n')
}

const text = (value: number) => round(value).toLocaleString('en')
