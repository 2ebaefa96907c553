import { X } from 'lucide-preact'
import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Failure } from '../api.ts'
import { Failed } from './states.tsx'

type Props = {
  title: string
  /** The label of the button that submits. */
  action: string
  isGrave?: boolean
  onSubmit: (form: FormData) => Promise<void>
  /** Reads the page again after the change, so that the next dialog shows what was changed. */
  onDone?: () => Promise<void>
  onClose: () => void
  children: ComponentChildren
}

/** Asks before something is changed; if the change fails, it stays open and shows why. */
export function Dialog(props: Props) {
  const { title, action, isGrave = false, onSubmit, onDone, onClose, children } = props
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  const [failure, setFailure] = useState<Failure | null>(null)
  const [isBusy, setBusy] = useState(false)
  useLayoutEffect(() => dialog.current?.showModal(), [])
  // Closed before it is removed, so that the focus returns to where it was.
  const close = () => dialog.current?.close()

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    try {
      await onSubmit(new FormData(event.currentTarget as HTMLFormElement))
      await onDone?.()
      close()
    } catch (error) {
      setFailure(Failure.from(error))
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <form onSubmit={submit}>
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="icon" aria-label="Close" onClick={close}>
            <X aria-hidden size={18} />
          </button>
        </header>
        {children}
        {failure && <Failed failure={failure} />}
        <footer>
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={isGrave ? 'grave' : 'primary'} disabled={isBusy}>
            {action}
          </button>
        </footer>
      </form>
    </dialog>
  )
}

/** Asks before something is ended. */
export const EndDialog = ({ title, ...rest }: Omit<Props, 'action' | 'isGrave'>) => (
  <Dialog title={`End ${title}?`} action="End it" isGrave {...rest} />
)

type FieldProps = {
  label: string
  name: string
  value?: string | undefined
  type?: string
  hint?: string
  required?: boolean
  min?: number
  max?: number
  pattern?: string
  maxLength?: number
  readOnly?: boolean
  step?: string
}

/** An input with a label and an optional hint. */
export function Field({ label, hint, value, ...input }: FieldProps) {
  const id = useId()
  return (
    <p class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        autocomplete="off"
        aria-describedby={hint && `${id}-hint`}
        defaultValue={value}
        {...input}
      />
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </p>
  )
}

type ChoiceProps = {
  label: string
  name: string
  value: string
  /** Labels by value. */
  options: Record<string, string>
  onChange?: (value: string) => void
}

/** A choice of a few values, with a label. */
export function Choice({ label, name, value, options, onChange }: ChoiceProps) {
  const id = useId()
  return (
    <p class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        name={name}
        defaultValue={value}
        onChange={(event) => onChange?.(event.currentTarget.value)}
      >
        {Object.entries(options).map(([option, text]) => (
          <option key={option} value={option} selected={option === value}>
            {text}
          </option>
        ))}
      </select>
    </p>
  )
}
