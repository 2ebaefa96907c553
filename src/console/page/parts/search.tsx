import { Search as Glass } from 'lucide-preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { useParams } from './use-params.ts'

/** Milliseconds without a key until what was typed is looked for. */
const PAUSE_MS = 200

/** Looks for rows by name or id; what is looked for stands in the address (`q`). */
export function Search({ label }: { label: string }) {
  const [params, change] = useParams()
  const wanted = params.get('q') ?? ''
  const [text, setText] = useState(wanted)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEffect(() => setText(wanted), [wanted])
  const type = (event: InputEvent) => {
    const next = (event.currentTarget as HTMLInputElement).value
    setText(next)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => change({ q: next.trim() }), PAUSE_MS)
  }
  return (
    <label class="search">
      <Glass aria-hidden size={16} />
      <span class="unseen">{label}</span>
      <input type="search" value={text} placeholder={label} onInput={type} maxLength={255} />
    </label>
  )
}
