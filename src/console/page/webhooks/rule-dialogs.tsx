import { useState } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { Choice, Dialog, EndDialog, Field } from '../parts/dialog.tsx'
import type { Rule as AnyRule } from './describe.ts'

/** A rule as the service lists it, of any kind. */
type Rule = AnyRule & { name: string }

type Props = { close: () => void; done: () => Promise<void> }

const KINDS = {
  success_rate: 'too many requests fail',
  quota: 'a quota is nearly used',
  silent_source: 'a source falls silent',
  failed_verification: 'a verification finds a problem',
}
type Kind = keyof typeof KINDS

const ACCOUNTS = { provider_group: 'provider group', api_key: 'API key' }

/** Adds a rule, or replaces `row` as a whole. */
export function EditRule({ row, close, done }: Props & { row?: Rule }) {
  const [kind, setKind] = useState<Kind>((row?.kind as Kind | undefined) ?? 'success_rate')
  const submit = async (form: FormData) => {
    const name = row?.name ?? textOf(form, 'name')
    await unwrap(
      api.admin.catalog.put({ rules: [{ name, kind, ...readers[kind](form) }] } as never),
    )
  }
  return (
    <Dialog
      title={row ? `Change ${row.name}` : 'Add a rule'}
      action={row ? 'Change' : 'Add'}
      onSubmit={submit}
      onDone={done}
      onClose={close}
    >
      {!row && (
        <Field
          label="Name"
          name="name"
          required
          pattern="[a-z][a-z0-9_]{0,63}"
          maxLength={64}
          hint="A lower-case letter, then letters, digits and _."
        />
      )}
      <Choice
        label="It is crossed when"
        name="kind"
        value={kind}
        options={KINDS}
        onChange={(value) => setKind(value as Kind)}
      />
      {kind === 'success_rate' && <RateFields row={row} />}
      {kind === 'quota' && <QuotaFields row={row} />}
      {kind === 'silent_source' && (
        <Field
          label="Source"
          name="source"
          value={row?.source ?? ''}
          maxLength={255}
          hint="The name of a token. Leave empty for every source."
        />
      )}
    </Dialog>
  )
}

const RateFields = ({ row }: { row: Rule | undefined }) => (
  <>
    <Choice label="Of" name="of" value={row?.of ?? 'provider_group'} options={ACCOUNTS} />
    <Field
      label="Number"
      name="id"
      type="number"
      required
      min={1}
      max={Number.MAX_SAFE_INTEGER}
      value={row?.id === undefined ? '' : String(row.id)}
      hint="Of the provider group or API key."
    />
    <Field
      label="Successful requests below, in %"
      name="below"
      type="number"
      required
      min={0.01}
      max={100}
      step="0.01"
      value={row?.below === undefined ? '95' : String(toPercent(row.below))}
    />
    <Field
      label="In the last minutes"
      name="minutes"
      type="number"
      required
      min={1}
      max={1_440}
      value={String(row?.minutes ?? 15)}
    />
    <Field
      label="Of at least this many requests"
      name="min_requests"
      type="number"
      required
      min={1}
      max={Number.MAX_SAFE_INTEGER}
      value={String(row?.min_requests ?? 20)}
      hint="With fewer, nothing changes."
    />
  </>
)

const QuotaFields = ({ row }: { row: Rule | undefined }) => (
  <>
    <Field
      label="Used, in %"
      name="percent"
      type="number"
      required
      min={1}
      max={100}
      value={String(row?.percent ?? 80)}
    />
    <Field
      label="Token hash"
      name="hash"
      value={row?.token_hash ?? ''}
      maxLength={255}
      hint="Leave empty for every token key that has a limit."
    />
  </>
)

/** Ends a rule after confirmation. */
export function EndRule({ name, close, done }: Props & { name: string }) {
  const submit = async () => {
    await unwrap(api.admin.rules({ name }).delete())
  }
  return (
    <EndDialog title={name} onSubmit={submit} onDone={done} onClose={close}>
      <p>What has crossed it is cleared within seconds, which is an event, too.</p>
    </EndDialog>
  )
}

const textOf = (form: FormData, name: string) => (form.get(name) as string).trim()
const numberOf = (form: FormData, name: string) => Number(textOf(form, name))

/** The members of a rule of each kind, from the fields of the form. */
const readers: Record<Kind, (form: FormData) => object> = {
  success_rate: (form) => ({
    ...{ of: textOf(form, 'of'), id: numberOf(form, 'id') },
    below: Number((numberOf(form, 'below') / 100).toFixed(4)),
    ...{ minutes: numberOf(form, 'minutes'), min_requests: numberOf(form, 'min_requests') },
  }),
  quota: (form) => ({
    percent: numberOf(form, 'percent'),
    ...given('token_hash', textOf(form, 'hash')),
  }),
  silent_source: (form) => given('source', textOf(form, 'source')),
  failed_verification: () => ({}),
}

const given = (member: string, text: string) => (text === '' ? {} : { [member]: text })

/** A rate in percent, as it was entered. */
const toPercent = (rate: number) => Number((rate * 100).toFixed(2))
