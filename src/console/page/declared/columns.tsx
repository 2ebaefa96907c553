import { Columns3 } from 'lucide-preact'
import { useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { Dialog } from '../parts/dialog.tsx'
import type { Column } from '../parts/table.tsx'
import { useParams } from '../parts/use-params.ts'
import { readUnit } from '../unit.ts'
import { useDeclarations } from './declarations.tsx'
import type { Declared } from './dialogs.tsx'

type Measured = { measures?: Record<string, Exact> }

/** Returns the measures that tables show as columns: the URL names them (`measures`). */
export function useChosenMeasures(): Declared[] {
  const [params] = useParams()
  const { value } = useDeclarations()
  const names = new Set(params.get('measures')?.split(','))
  return value?.measures.filter(({ name }) => names.has(name)) ?? []
}

/** Returns a column for each of the measures. */
export const toColumns = (measures: readonly Declared[]): Column<object>[] =>
  measures.map(({ name, unit = null }) => ({
    ...{ title: name, align: 'end', chars: 18, phoneChars: 16 },
    show: (row: Measured) => readUnit(unit).format(row.measures?.[name] ?? 0),
  }))

/** A button to choose which measures tables show. */
export function ChooseColumns() {
  const [isOpen, setOpen] = useState(false)
  const [, change] = useParams()
  const chosen = useChosenMeasures()
  const { value } = useDeclarations()
  const submit = async (form: FormData) => change({ measures: form.getAll('measure').join() })
  return (
    <>
      <button type="button" class="small" onClick={() => setOpen(true)}>
        <Columns3 aria-hidden size={14} /> Columns
      </button>
      {isOpen && (
        <Dialog
          title="Measures to show as columns"
          action="Show"
          onSubmit={submit}
          onClose={() => setOpen(false)}
        >
          {value?.measures.length === 0 && (
            <p>
              No measure is declared. With one such as input_tokens, flushes count more than
              requests.
            </p>
          )}
          <ul class="checks">
            {value?.measures.map(({ name, unit, ended_at }) => (
              <li key={name}>
                <label>
                  <input
                    type="checkbox"
                    name="measure"
                    value={name}
                    defaultChecked={chosen.some((measure) => measure.name === name)}
                  />
                  {name}{' '}
                  <span class="muted">
                    {unit} {ended_at && '(ended)'}
                  </span>
                </label>
              </li>
            ))}
          </ul>
        </Dialog>
      )}
    </>
  )
}
