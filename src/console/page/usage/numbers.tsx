import { useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { formatTime } from '../format.ts'
import { saveCsv } from '../parts/csv.ts'
import type { Unit } from '../unit.ts'

/** A column: its names in CSV files and on the page, and a number for each bucket. */
export type NumberColumn = { id: string; title: string; unit: Unit; values: readonly Exact[] }

type Props = {
  /** The name of the CSV file. */
  file: string
  /** When the buckets begin, and the last one ends (RFC 3339). */
  bounds: readonly string[]
  columns: readonly NumberColumn[]
}

/** Shows a chart as a table, for users who cannot see the bars, and saves it as CSV. */
export function Numbers({ file, bounds, columns }: Props) {
  const starts = bounds.slice(0, -1)
  const [isOpen, setOpen] = useState(false)
  const save = () =>
    saveCsv(file, [
      ['from', 'to', ...columns.map(({ id }) => id)],
      ...starts.map((start, i) => [
        ...[start, bounds[i + 1]!],
        ...columns.map(({ values }) => values[i]!),
      ]),
    ])
  return (
    <details onToggle={(event) => setOpen((event.currentTarget as HTMLDetailsElement).open)}>
      <summary>Numbers</summary>
      {isOpen && (
        <>
          <button type="button" class="small" onClick={save}>
            Save as CSV
          </button>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
          <section class="scroll" tabIndex={0} aria-label="Usage in numbers">
            <table>
              <thead>
                <tr>
                  <th scope="col">From</th>
                  {columns.map(({ title }, place) => (
                    <th key={place} scope="col" class="end">
                      {title}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {starts
                  .map((start, i) => (
                    <tr key={start}>
                      <td>{formatTime(start, 'minute')}</td>
                      {columns.map(({ unit, values }, place) => (
                        <td key={place} class="end">
                          {unit.format(values[i]!)}
                        </td>
                      ))}
                    </tr>
                  ))
                  .toReversed()}
              </tbody>
            </table>
          </section>
        </>
      )}
    </details>
  )
}
