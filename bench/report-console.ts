import { round } from './measure.ts'
import type { ConsoleRow } from './sections/console.ts'

/** Renders how long pages of the console take until they are usable. */
export function renderConsole(rows: ConsoleRow[]): string {
  const head = ['page', 'events', 'first visit, p50 ms', 'p90', 'second, p50 ms', 'p90', 'bytes']
  return [head, ['---', ...head.slice(1).map(() => '---:')]]
    .concat(
      rows.map(({ page, events, first, again, bytes }) => [
        page,
        ...[events, first.p50Ms, first.p90Ms, again.p50Ms, again.p90Ms, bytes].map(text),
      ]),
    )
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

const text = (value: number) => round(value).toLocaleString('en')
