import { api, unwrap } from '../api.ts'
import { Choice, Dialog, EndDialog, Field } from '../parts/dialog.tsx'
import { ExternalIdField } from './external-id.tsx'

type Props<Row> = {
  /** Absent: add a new row. */
  row?: Row
  onClose: () => void
  onDone: () => Promise<void>
}

const MAX_ID = Number.MAX_SAFE_INTEGER
const text = (form: FormData, name: string) => (form.get(name) as string).trim()

type GroupRow = { id: number; external_id: string | null; name: string | null }

/** Returns how a form names a row: by its id, by its external id, or by both. */
function namesIn(form: FormData, row: GroupRow | undefined) {
  const external_id = text(form, 'external')
  const id = row?.id ?? Number(text(form, 'id'))
  return { ...(id === 0 ? {} : { id }), ...(external_id === '' ? {} : { external_id }) }
}

/** Adds a provider group, renames it, or gives it an external id. */
export function EditGroup({ row, onClose, onDone }: Props<GroupRow>) {
  const submit = async (form: FormData) => {
    await put({ provider_groups: [{ ...namesIn(form, row), name: text(form, 'name') }] })
  }
  return (
    <Dialog
      title={row ? `Change group ${row.id}` : 'Add a provider group'}
      action={row ? 'Change' : 'Add'}
      onSubmit={submit}
      onDone={onDone}
      onClose={onClose}
    >
      {!row && <Id />}
      <Name value={row?.name} />
      <ExternalIdField row={row} />
    </Dialog>
  )
}

type ApiKeyRow = GroupRow & { group_id: number }

/** Adds an API key, renames it, moves it to another group, or gives it an external id. */
export function EditApiKey({
  row,
  groupId,
  onClose,
  onDone,
}: Props<ApiKeyRow> & { groupId?: number }) {
  const submit = async (form: FormData) => {
    const group_id = Number(text(form, 'group') || '0')
    await put({ api_keys: [{ ...namesIn(form, row), group_id, name: text(form, 'name') }] })
  }
  return (
    <Dialog
      title={row ? `Change API key ${row.id}` : 'Add an API key'}
      action={row ? 'Change' : 'Add'}
      onSubmit={submit}
      onDone={onDone}
      onClose={onClose}
    >
      {!row && <Id />}
      <Name value={row?.name} />
      <Field
        label="Provider group"
        name="group"
        type="number"
        min={0}
        max={MAX_ID}
        value={String(row?.group_id ?? groupId ?? 0)}
        hint="The group's number, or 0 for none. Past usage stays with the previous group."
      />
      <ExternalIdField row={row} />
    </Dialog>
  )
}

type KeyRow = {
  token_hash: string
  quota_limit: number
  name: string | null
  quota_period?: string
  quota_tz?: string
}

const PERIODS = { none: 'never', day: 'every day', week: 'every Monday', month: 'every month' }

/** Adds a token key, renames it, or changes its quota. */
export function EditKey({ row, onClose, onDone }: Props<KeyRow>) {
  const submit = async (form: FormData) => {
    const token_hash = row?.token_hash ?? text(form, 'hash')
    const limit = text(form, 'limit')
    const quota_limit = limit === '' ? -1 : Number(limit)
    const period = { quota_period: text(form, 'period'), quota_tz: text(form, 'tz') || 'UTC' }
    await put({ keys: [{ token_hash, quota_limit, name: text(form, 'name'), ...period }] })
  }
  const limit = row && row.quota_limit >= 0 ? String(row.quota_limit) : ''
  return (
    <Dialog
      title={row ? 'Change the token key' : 'Add a token key'}
      action={row ? 'Change' : 'Add'}
      onSubmit={submit}
      onDone={onDone}
      onClose={onClose}
    >
      {!row && (
        <Field
          label="Token hash"
          name="hash"
          required
          maxLength={255}
          hint="As posted by the gateway."
        />
      )}
      <Name value={row?.name} />
      <Field
        label="Quota, in tokens"
        name="limit"
        type="number"
        min={0}
        max={MAX_ID}
        value={limit}
        hint="Leave empty for no limit. Quota is counted as used only while there is a limit."
      />
      <Choice
        label="The quota begins anew"
        name="period"
        value={row?.quota_period ?? 'none'}
        options={PERIODS}
      />
      <Field
        label="Time zone"
        name="tz"
        maxLength={64}
        value={row?.quota_tz ?? ''}
        hint="Of the days, weeks and months, such as Europe/Berlin. Leave empty for UTC."
      />
    </Dialog>
  )
}

type EndProps = {
  what: 'provider-groups' | 'api-keys' | 'keys'
  id: string
  title: string
  onClose: () => void
  onDone: () => Promise<void>
}

/** Ends a row of the catalog after confirmation. */
export function End({ what, id, title, onClose, onDone }: EndProps) {
  const submit = async () => {
    if (what === 'keys') await unwrap(api.admin.keys({ token_hash: id }).delete())
    else await unwrap(api.admin[what]({ id }).delete())
  }
  return (
    <EndDialog title={title} onSubmit={submit} onDone={onDone} onClose={onClose}>
      <p>
        It stops counting with the next flush. Past usage is kept, and counting continues from there
        if it is added again.
      </p>
    </EndDialog>
  )
}

const put = (rows: object) => unwrap(api.admin.catalog.put(rows as never))

const Id = () => (
  <Field
    label="Number"
    name="id"
    type="number"
    min={1}
    max={MAX_ID}
    hint="With an external id it may be empty: then the next number is taken."
  />
)

const Name = ({ value }: { value: string | null | undefined }) => (
  <Field
    label="Name"
    name="name"
    value={value ?? ''}
    maxLength={255}
    hint="Shown to people only."
  />
)
