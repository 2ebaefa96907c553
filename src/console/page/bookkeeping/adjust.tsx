import { useId, useRef, useState } from 'preact/hooks'
import { api, Failure } from '../api.ts'
import { Dialog, Field } from '../parts/dialog.tsx'
import { newIdempotencyKey, positionOf, withKey } from './post.ts'
import { Reason } from './reason.tsx'

const RATED = { total_requests: 'Requests', success_requests: 'Successes' }

/** The title of each kind, and its counts as fields of the request. */
const KINDS = {
  provider_groups: { title: 'Provider group', counts: RATED },
  api_keys: { title: 'API key', counts: RATED },
  keys: {
    title: 'Token key',
    counts: { request_count: 'Requests', used_tokens: 'Tokens', quota_used: 'Quota used' },
  },
}

type Kind = keyof typeof KINDS

type Props = {
  /** Called when it has closed, with the position of the adjustment, or null if there is none. */
  onClose: (position: string | null) => void
}

/** Adjusts the totals of an account. A retry after a lost answer adjusts nothing twice. */
export function Adjust({ onClose }: Props) {
  const [idempotencyKey] = useState(newIdempotencyKey)
  const [kind, setKind] = useState<Kind>('api_keys')
  const recorded = useRef<string | null>(null)
  const kindId = useId()
  const isKey = kind === 'keys'
  const submit = async (form: FormData) => {
    const text = (name: string) => (form.get(name) as string).trim()
    const differences = Object.keys(KINDS[kind].counts).map(
      (name) => [name, Number(text(name) || '0')] as const,
    )
    if (differences.every(([, difference]) => difference === 0)) {
      throw new Failure(0, 'Enter a difference.')
    }
    const account = isKey ? { token_hash: text('hash') } : { id: Number(text('id')) }
    const body = {
      adjust: { [kind]: [{ ...account, ...Object.fromEntries(differences) }] },
      reason: text('reason'),
    }
    recorded.current = await positionOf(
      api.admin.corrections.post(body as never, withKey(idempotencyKey)),
    )
  }
  return (
    <Dialog
      title="Adjust totals"
      action="Adjust"
      onSubmit={submit}
      onClose={() => onClose(recorded.current)}
    >
      <p>Adds differences to the totals of one row. They appear in no hour of usage.</p>
      <p class="field">
        <label for={kindId}>Kind</label>
        <select
          id={kindId}
          value={kind}
          onChange={({ currentTarget }) => setKind(currentTarget.value as Kind)}
        >
          {Object.entries(KINDS).map(([name, { title }]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </p>
      {isKey ? (
        <Field key="hash" label="Token hash" name="hash" required maxLength={255} />
      ) : (
        <Field
          key="id"
          label="Number"
          name="id"
          type="number"
          min={1}
          max={Number.MAX_SAFE_INTEGER}
          required
        />
      )}
      {Object.entries(KINDS[kind].counts).map(([name, title]) => (
        <Field
          key={name}
          label={title}
          name={name}
          type="number"
          min={Number.MIN_SAFE_INTEGER}
          max={Number.MAX_SAFE_INTEGER}
          hint="What to add, or with a minus sign what to take."
        />
      ))}
      <Reason />
    </Dialog>
  )
}
