import { Search as Glass } from 'lucide-preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { useParams } from './use-params.ts'

/** Delay (ms) after the last key press before the search starts. */
const PAUSE_MS = 200

/** Searches rows by name or id; the text is part of the URL (`q`). */
export function Search({ label }: { label: string }) {
  const [params, change] = useParams()
  const query = params.get('q') ?? ''
  const [text, setText] = useState(query)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEffect(() => setText(query), [query])
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
