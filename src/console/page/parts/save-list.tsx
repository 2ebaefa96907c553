import { Download } from 'lucide-preact'
import { useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { saveCsv } from './csv.ts'

/** A row of a list: scalar values, and perhaps totals of measures. */
type Row = Record<string, Exact | string | null | undefined>
/** A line of a CSV file. */
type Line = (Exact | string | null)[]
type Measured = { measures?: Record<string, Exact> }

type Props = { name: string; load: () => Promise<Line[]> }

/** Saves the whole list as CSV, filtered and sorted as shown, including rows not loaded yet. */
export function SaveList({ name, load }: Props) {
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle')
  const save = async () => {
    setState('busy')
    try {
      saveCsv(name, await load())
      setState('idle')
    } catch {
      setState('failed')
    }
  }
  return (
    <button type="button" class="small" onClick={save} disabled={state === 'busy'}>
      <Download aria-hidden size={14} /> {state === 'failed' ? 'CSV failed: try again' : 'CSV'}
    </button>
  )
}

/** Returns a header and a line for each row, with a column for each measure that a row has. */
export function toLines(items: readonly object[]): Line[] {
  const rows = items.map((item) => {
    const { measures = {}, ...row } = item as Measured & object
    return { row: row as Row, measures }
  })
  const columns = Object.keys(rows[0]?.row ?? {})
  const measured = [...new Set(rows.flatMap(({ measures }) => Object.keys(measures)))]
  return [
    [...columns, ...measured],
    ...rows.map(({ row, measures }) => [
      ...columns.map((column) => row[column] ?? null),
      ...measured.map((measure) => measures[measure] ?? 0),
    ]),
  ]
}
