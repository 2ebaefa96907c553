import { api, unwrap } from '../api.ts'
import { Dialog, EndDialog, Field } from '../parts/dialog.tsx'

export type Kind = 'dimension' | 'measure'

/** A dimension or a measure, as the service lists it. */
export type Declared = { name: string; unit?: string | null; ended_at?: string }

type Props = { kind: Kind; close: () => void; done: () => Promise<void> }

/** Declares a dimension or a measure; with `row`, changes the unit of a measure. */
export function Declare({ kind, row, close, done }: Props & { row?: Declared }) {
  const submit = async (form: FormData) => {
    const name = row?.name ?? textOf(form, 'name')
    const declared = kind === 'measure' ? { name, unit: textOf(form, 'unit') } : { name }
    await unwrap(api.admin.catalog.put({ [`${kind}s`]: [declared] } as never))
  }
  return (
    <Dialog
      title={row ? `Change ${row.name}` : `Declare a ${kind}`}
      action={row ? 'Change' : 'Declare'}
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
          hint="As flushes use it: a lower-case letter, then letters, digits and _."
        />
      )}
      {kind === 'measure' && (
        <Field
          label="Unit"
          name="unit"
          value={row?.unit ?? ''}
          maxLength={64}
          hint="Shown to people only, such as USD/1e6. It may be empty."
        />
      )}
    </Dialog>
  )
}

/** Ends a dimension or a measure after confirmation. */
export function EndDeclared({ kind, name, close, done }: Props & { name: string }) {
  const submit = async () => {
    await unwrap(api.admin[`${kind}s`]({ name }).delete())
  }
  return (
    <EndDialog title={name} onSubmit={submit} onDone={done} onClose={close}>
      <p>
        Flushes that use it are refused from now on. What was counted is kept, and counting
        continues from there if it is declared again.
      </p>
    </EndDialog>
  )
}

const textOf = (form: FormData, name: string) => (form.get(name) as string).trim()
