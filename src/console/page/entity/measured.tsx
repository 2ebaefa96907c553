import type { Exact } from '../../../events/exact.ts'
import { useDeclarations } from '../declared/declarations.tsx'
import { readUnit } from '../unit.ts'

type Row = { measures?: Record<string, Exact> }

/** Shows a row's totals of measures, if it has any; below everything that it would move. */
export function Measured({ row }: { row: object | undefined }) {
  const { value } = useDeclarations()
  const totals = Object.entries((row as Row | undefined)?.measures ?? {})
  if (totals.length === 0) return null
  const unitOf = (name: string) => value?.measures.find((one) => one.name === name)?.unit ?? null
  return (
    <section class="card" aria-label="Measures">
      <header>
        <h2>Measures in total</h2>
      </header>
      <dl class="columns">
        {totals.map(([name, total]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{readUnit(unitOf(name)).format(total)}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}
