import { useRef, useState } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { Dialog, Field } from '../parts/dialog.tsx'
import { newIdempotencyKey } from './idempotency-key.ts'

type Props = {
  /** The event to reverse, such as `0/41`. */
  position: string
  /** Called when it has closed, with the position of the reversal, or null if there is none. */
  onClose: (reversal: string | null) => void
}

/** Asks for a reason, and reverses an event. A retry after a lost answer reverses nothing twice. */
export function Reverse({ position, onClose }: Props) {
  const [idempotencyKey] = useState(newIdempotencyKey)
  const reversal = useRef<string | null>(null)
  const submit = async (form: FormData) => {
    const reason = (form.get('reason') as string).trim()
    const headers = { 'idempotency-key': idempotencyKey }
    const body = { reverse: position, reason } as never
    reversal.current = (await unwrap(api.admin.corrections.post(body, { headers }))).value.position
  }
  return (
    <Dialog
      title={`Reverse event ${position}?`}
      action="Reverse it"
      isGrave
      onSubmit={submit}
      onClose={() => onClose(reversal.current)}
    >
      <p>
        Everything that it counted is taken back, in totals and in the hours of usage. The log keeps
        both events.
      </p>
      <Reason />
    </Dialog>
  )
}

/** Asks why an administrator corrects. */
export const Reason = () => (
  <Field
    label="Reason"
    name="reason"
    required
    maxLength={500}
    pattern=".*\S.*"
    hint="The log keeps it for good."
  />
)
