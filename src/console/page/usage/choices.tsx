import { ZoomOut } from 'lucide-preact'
import { useId } from 'preact/hooks'
import { useDeclarations } from '../declared/declarations.tsx'
import type { Declared } from '../declared/dialogs.tsx'
import { useParams } from '../parts/use-params.ts'
import type { Shown } from './counts.ts'
import { RANGES, type Range } from './range.ts'

type Props = {
  range: Range
  /** What can be shown, what is, and the dimension that divides it, or ''. */
  counts: readonly Shown[]
  shown: Shown
  by: string
}

/** Chooses what the chart of usage shows, and of which period. All of it is part of the URL. */
export function Choices({ range, counts, shown, by }: Props) {
  const [, choose] = useParams()
  return (
    <div class="choices">
      {range.name === 'zoom' && (
        <button type="button" class="small" onClick={() => choose({ from: null, to: null })}>
          <ZoomOut aria-hidden size={14} /> Zoom out
        </button>
      )}
      <Pick
        label="Show"
        value={shown.id}
        options={counts.map(({ id, title }) => [id, title])}
        onChange={(id) => choose({ show: id === counts[0]!.id ? null : id })}
      />
      <Division by={by} />
      <fieldset class="segments">
        <legend class="unseen">Range</legend>
        {Object.keys(RANGES).map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={range.name === name}
            onClick={() => choose({ range: name, from: null, to: null, bucket: null })}
          >
            {name}
          </button>
        ))}
      </fieldset>
      <fieldset class="segments">
        <legend class="unseen">Bars</legend>
        {(['hour', 'day'] as const).map((bucket) => (
          <button
            key={bucket}
            type="button"
            aria-pressed={range.bucket === bucket}
            onClick={() => choose({ bucket })}
          >
            {bucket}
          </button>
        ))}
      </fieldset>
    </div>
  )
}

/** What the URL says if no dimension is declared: the page then explains how to declare one. */
const EXAMPLE = 'model'

/** Chooses the dimension. One that is not declared, but in the URL, is offered as well. */
function Division({ by }: { by: string }) {
  const [, choose] = useParams()
  const { value } = useDeclarations()
  const declared = value?.dimensions ?? []
  const names = declared.map(({ name }) => name)
  const options = declared.map((dimension): [string, string] => [dimension.name, nameOf(dimension)])
  const isOther = by !== '' && !names.includes(by)
  return (
    <Pick
      label="by"
      value={by}
      options={[
        ['', 'no dimension'],
        ...options,
        ...(isOther ? [[by, by] as [string, string]] : []),
        ...(value && names.length === 0 && !isOther
          ? [[EXAMPLE, 'a dimension'] as [string, string]]
          : []),
      ]}
      onChange={(name) => choose({ by: name })}
    />
  )
}

const nameOf = ({ name, ended_at }: Declared) => (ended_at === undefined ? name : `${name} (ended)`)

type PickProps = {
  label: string
  value: string
  /** Values with their texts. */
  options: [value: string, text: string][]
  onChange: (value: string) => void
}

function Pick({ label, value, options, onChange }: PickProps) {
  const id = useId()
  return (
    <span class="pick">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option} selected={option === value}>
            {text}
          </option>
        ))}
      </select>
    </span>
  )
}
