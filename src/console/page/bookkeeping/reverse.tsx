import { useRef, useState } from 'preact/hooks'
import { api } from '../api.ts'
import { Dialog } from '../parts/dialog.tsx'
import { newIdempotencyKey, positionOf, withKey } from './post.ts'
import { Reason } from './reason.tsx'

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
    const body = { reverse: position, reason } as never
    reversal.current = await positionOf(api.admin.corrections.post(body, withKey(idempotencyKey)))
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
        Everything that it counted is taken back: in totals, and for a flush also in the hours of
        usage where it stood. The log keeps both events.
      </p>
      <Reason />
    </Dialog>
  )
}
