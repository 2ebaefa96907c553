import { api, unwrap } from '../api.ts'
import { Dialog, Field } from '../parts/dialog.tsx'

type Props<Row> = {
  /** Absent: add a new row. */
  row?: Row
  onClose: () => void
  onDone: (id: string) => void
}

const MAX_ID = Number.MAX_SAFE_INTEGER
const text = (form: FormData, name: string) => (form.get(name) as string).trim()

/** Adds or renames a provider group. */
export function EditGroup({ row, onClose, onDone }: Props<{ id: number; name: string | null }>) {
  const submit = async (form: FormData) => {
    const id = row?.id ?? Number(text(form, 'id'))
    await put({ provider_groups: [{ id, name: text(form, 'name') }] })
    onDone(String(id))
  }
  return (
    <Dialog
      title={row ? `Rename group ${row.id}` : 'Add a provider group'}
      action={row ? 'Rename' : 'Add'}
      onSubmit={submit}
      onClose={onClose}
    >
      {!row && <Id />}
      <Name value={row?.name} />
    </Dialog>
  )
}

type ApiKeyRow = { id: number; group_id: number; name: string | null }

/** Adds an API key, renames it, or moves it to another group. */
export function EditApiKey({
  row,
  groupId,
  onClose,
  onDone,
}: Props<ApiKeyRow> & { groupId?: number }) {
  const submit = async (form: FormData) => {
    const id = row?.id ?? Number(text(form, 'id'))
    const group_id = Number(text(form, 'group') || '0')
    await put({ api_keys: [{ id, group_id, name: text(form, 'name') }] })
    onDone(String(id))
  }
  return (
    <Dialog
      title={row ? `Change API key ${row.id}` : 'Add an API key'}
      action={row ? 'Change' : 'Add'}
      onSubmit={submit}
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
    </Dialog>
  )
}

type KeyRow = { token_hash: string; quota_limit: number; name: string | null }

/** Adds a token key, renames it, or changes its quota. */
export function EditKey({ row, onClose, onDone }: Props<KeyRow>) {
  const submit = async (form: FormData) => {
    const token_hash = row?.token_hash ?? text(form, 'hash')
    const limit = text(form, 'limit')
    const quota_limit = limit === '' ? -1 : Number(limit)
    await put({ keys: [{ token_hash, quota_limit, name: text(form, 'name') }] })
    onDone(token_hash)
  }
  const limit = row && row.quota_limit >= 0 ? String(row.quota_limit) : ''
  return (
    <Dialog
      title={row ? 'Change the token key' : 'Add a token key'}
      action={row ? 'Change' : 'Add'}
      onSubmit={submit}
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
    </Dialog>
  )
}

type EndProps = {
  what: 'provider-groups' | 'api-keys' | 'keys'
  id: string
  title: string
  onClose: () => void
  onDone: () => void
}

/** Ends a row of the catalog after confirmation. */
export function End({ what, id, title, onClose, onDone }: EndProps) {
  const submit = async () => {
    if (what === 'keys') await unwrap(api.admin.keys({ token_hash: id }).delete())
    else await unwrap(api.admin[what]({ id }).delete())
    onDone()
  }
  return (
    <Dialog title={`End ${title}?`} action="End it" isGrave onSubmit={submit} onClose={onClose}>
      <p>
        It stops counting with the next flush. Past usage is kept, and counting continues from there
        if it is added again.
      </p>
    </Dialog>
  )
}

const put = (rows: object) => unwrap(api.admin.catalog.put(rows as never))

const Id = () => <Field label="Number" name="id" type="number" min={1} max={MAX_ID} required />

const Name = ({ value }: { value: string | null | undefined }) => (
  <Field
    label="Name"
    name="name"
    value={value ?? ''}
    maxLength={255}
    hint="Shown to people only."
  />
)
