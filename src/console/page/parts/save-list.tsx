import { Download } from 'lucide-preact'
import { useState } from 'preact/hooks'
import { saveCsv } from './csv.ts'

/** A row of a list: scalar values only. */
type Row = Record<string, string | number | bigint | null | undefined>

/** Saves the whole list as CSV, filtered and sorted as shown, including rows not loaded yet. */
export function SaveList({ name, load }: { name: string; load: () => Promise<object[]> }) {
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle')
  const save = async () => {
    setState('busy')
    try {
      const rows = (await load()) as Row[]
      const columns = Object.keys(rows[0] ?? {})
      saveCsv(name, [columns, ...rows.map((row) => columns.map((column) => row[column] ?? null))])
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
