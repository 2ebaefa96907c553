import { useState } from 'preact/hooks'
import { api } from '../api.ts'
import { Dialog } from '../parts/dialog.tsx'
import { newIdempotencyKey, positionOf, withKey } from './post.ts'
import { Reason } from './reason.tsx'

type Props = {
  /** The token hash, encoded for a path. */
  id: string
  name: string | undefined
  onClose: () => void
  onDone: () => Promise<void>
}

/** Asks for a reason, and resets a quota. A retry after a lost answer resets nothing twice. */
export function ResetQuota({ id, name, onClose, onDone }: Props) {
  const [idempotencyKey] = useState(newIdempotencyKey)
  const submit = async (form: FormData) => {
    const reason = (form.get('reason') as string).trim()
    const reset = api.admin.keys({ token_hash: id })['quota-reset']
    await positionOf(reset.post({ reason } as never, withKey(idempotencyKey)))
  }
  return (
    <Dialog
      title={`Reset the quota of ${name ?? 'the token key'}?`}
      action="Reset it"
      onSubmit={submit}
      onDone={onDone}
      onClose={onClose}
    >
      <p>
        The quota counts from 0 again. Requests, tokens and usage do not change, and the log keeps
        what was taken away.
      </p>
      <Reason />
    </Dialog>
  )
}
