import { useEffect, useRef, useState } from 'preact/hooks'
import type { Exact } from '../../../events/exact.ts'
import { api, Failure, unwrap } from '../api.ts'
import { ExternalIdField } from '../entity/external-id.tsx'
import { formatCount, formatCountOf } from '../format.ts'
import { Dialog, Field } from '../parts/dialog.tsx'
import { KINDS, type Kind, nameOf, type UnknownKey } from './unknown-key.ts'

/** Adopted keys, such as `sk-9f` or `2 API keys`, and what was counted at which position. */
export type Adopted = { keys: string; requests: Exact; position: string | null }

/** The pause (ms) before a request that found more of the log to read is repeated. */
const RETRY_PAUSE_MS = 1_000

type Props = {
  kind: Kind
  /** The keys to adopt, one or several. */
  keys: UnknownKey[]
  /** Called when it has closed, with what was counted, or null if nothing was adopted. */
  onClose: (adopted: Adopted | null) => void
}

/**
 * Adds unknown keys to the catalog, and counts what flushes posted for them. A retry after a lost
 * answer counts nothing twice. If there is more of the log to read than one request can, it is
 * repeated until the dialog is closed.
 */
export function Adopt({ kind, keys, onClose }: Props) {
  // The list is read again while the dialog is open.
  const chosen = useRef(keys).current
  const adopted = useRef<Adopted | null>(null)
  const isClosed = useRef(false)
  useEffect(
    () => () => {
      isClosed.current = true
    },
    [],
  )
  const [isReading, setReading] = useState(false)
  const only = chosen.length === 1 ? chosen[0]! : null
  const what = only ? nameOf(only) : formatCountOf(chosen.length, KINDS[kind])
  const submit = async (form: FormData) => {
    const rows = chosen.map((key) => (kind === 'key' ? toKey(key, form) : toApiKey(key, form)))
    const body = { [`${kind}s`]: rows }
    while (!isClosed.current) {
      try {
        const { value } = await unwrap(api.admin['unknown-keys'].adopt.post(body as never))
        adopted.current = { keys: what, requests: value.requests, position: value.position }
        return
      } catch (error) {
        if (Failure.from(error).problem !== 'reading the log') throw error
        setReading(true)
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS))
      }
    }
  }
  const requests = chosen.reduce((sum, key) => sum + BigInt(key.requests), 0n)
  return (
    <Dialog
      title={`Adopt ${what}?`}
      action="Adopt"
      onSubmit={submit}
      onClose={() => onClose(adopted.current)}
    >
      <p>
        Adds {only ? 'it' : 'them'} to the catalog and counts what flushes posted before, in the
        hours of usage where it was posted: {formatCount(requests)} requests so far.
      </p>
      {kind === 'key' ? <KeyFields only={only} /> : <ApiKeyFields only={only} />}
      {isReading && <p role="status">Reading the log, which takes a while…</p>}
    </Dialog>
  )
}

/** The key, if it is the only one; several have no fields of their own. */
type Only = { only: UnknownKey | null }

function ApiKeyFields({ only }: Only) {
  return (
    <>
      {only && <ApiKeyNames apiKey={only} />}
      <Field
        label="Provider group"
        name="group"
        type="number"
        min={0}
        max={Number.MAX_SAFE_INTEGER}
        hint="The group's number. Leave empty for none, or the previous group of an ended key."
      />
      {only && <Name />}
    </>
  )
}

const ApiKeyNames = ({ apiKey: { id, external_id = null } }: { apiKey: UnknownKey }) => (
  <>
    {external_id === null ? (
      <Field label="Number" name="id" value={String(id)} readOnly />
    ) : (
      <Field
        label="Number"
        name="id"
        type="number"
        min={1}
        max={Number.MAX_SAFE_INTEGER}
        hint="Leave empty for the next free one."
      />
    )}
    <ExternalIdField row={{ external_id }} />
  </>
)

const KeyFields = ({ only }: Only) => (
  <>
    {only && <Field label="Token hash" name="hash" value={nameOf(only)} readOnly />}
    <Field
      label="Quota, in tokens"
      name="limit"
      type="number"
      min={0}
      max={Number.MAX_SAFE_INTEGER}
      hint="Leave empty for none, or the previous one of an ended key."
    />
    {only && <Name />}
  </>
)

const Name = () => <Field label="Name" name="name" maxLength={255} hint="Shown to people only." />

const textOf = (form: FormData, name: string) => ((form.get(name) ?? '') as string).trim()

/** Returns a field of the request, which is absent if the input is empty. */
function optional<Value>(name: string, text: string, parse: (text: string) => Value) {
  return text === '' ? {} : { [name]: parse(text) }
}

function toApiKey({ id, external_id }: UnknownKey, form: FormData) {
  return {
    ...optional('id', textOf(form, 'id'), Number),
    ...optional('external_id', textOf(form, 'external'), String),
    ...optional('group_id', textOf(form, 'group'), Number),
    ...optional('name', textOf(form, 'name'), String),
    // As posted, whatever was entered.
    ...(typeof external_id === 'string' ? { external_id } : { id }),
  }
}

const toKey = ({ token_hash }: UnknownKey, form: FormData) => ({
  token_hash,
  ...optional('quota_limit', textOf(form, 'limit'), Number),
  ...optional('name', textOf(form, 'name'), String),
})
