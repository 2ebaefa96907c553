import { useRef } from 'preact/hooks'
import { api, unwrap } from '../api.ts'
import { Dialog, Field } from '../parts/dialog.tsx'
import { describeOutcome } from './outcome.ts'

/** The dialog that is open. */
export type Asked =
  | { what: 'create' }
  | { what: 'test' | 'rotate' | 'delete'; name: string }
  | { what: 'enable'; name: string; enabled: boolean }
  | { what: 'secret'; name: string; secret: string }
  | { what: 'tested'; name: string; outcome: string }

type Props = { ask: (asked: Asked | null) => void; done: () => Promise<void> }

/** Asks before a webhook is changed. What comes of it may be shown in the next dialog. */
export function Asking({ asked, ...rest }: Props & { asked: Asked }) {
  switch (asked.what) {
    case 'create':
      return <Create {...rest} />
    case 'test':
      return <Test name={asked.name} {...rest} />
    case 'rotate':
      return <Rotate name={asked.name} {...rest} />
    case 'enable':
      return <Enable {...asked} {...rest} />
    case 'delete':
      return <Delete name={asked.name} {...rest} />
    case 'secret':
      return <Secret {...asked} {...rest} />
    case 'tested':
      return <Tested {...asked} {...rest} />
    default:
      return asked satisfies never
  }
}

function Create({ ask, done }: Props) {
  const next = useRef<Asked | null>(null)
  const submit = async (form: FormData) => {
    const name = textOf(form, 'name')
    const made = await unwrap(api.admin.webhooks.post({ name, url: textOf(form, 'url') } as never))
    next.current = { what: 'secret', name, secret: made.value.secret }
  }
  return (
    <Dialog
      title="Create a webhook"
      action="Create"
      onSubmit={submit}
      onDone={done}
      onClose={() => ask(next.current)}
    >
      <Field
        label="Name"
        name="name"
        required
        pattern="[a-z0-9][a-z0-9._\-]{0,62}"
        maxLength={63}
        hint="Lower-case letters, digits, dots, hyphens and underscores."
      />
      <Field
        label="URL"
        name="url"
        type="url"
        required
        maxLength={2_048}
        hint="It gets every event of a rule that is recorded from now on."
      />
    </Dialog>
  )
}

function Rotate({ name, ask, done }: Props & { name: string }) {
  const next = useRef<Asked | null>(null)
  const submit = async () => {
    const made = await unwrap(api.admin.webhooks({ name }).rotate.post())
    next.current = { what: 'secret', name, secret: made.value.secret }
  }
  return (
    <Dialog
      title={`Replace the secret of ${name}?`}
      action="Replace it"
      onSubmit={submit}
      onDone={done}
      onClose={() => ask(next.current)}
    >
      <p>
        For 24 hours, requests are signed with the new secret and with the present one. One that was
        replaced before signs no longer.
      </p>
    </Dialog>
  )
}

function Secret({ name, secret, ask }: Props & { name: string; secret: string }) {
  return (
    <Dialog
      title={`The secret of ${name}`}
      action="It is stored"
      onSubmit={async () => {}}
      onClose={() => ask(null)}
    >
      <Field
        label="Secret"
        name="secret"
        value={secret}
        readOnly
        hint="Give it to the receiver, which verifies signatures with it. It is not shown again."
      />
    </Dialog>
  )
}

function Test({ name, ask, done }: Props & { name: string }) {
  const next = useRef<Asked | null>(null)
  const submit = async () => {
    const { value } = await unwrap(api.admin.webhooks({ name }).test.post())
    next.current = { what: 'tested', name, outcome: describeOutcome(value) }
  }
  return (
    <Dialog
      title={`Send a test to ${name}?`}
      action="Send"
      onSubmit={submit}
      onDone={done}
      onClose={() => ask(next.current)}
    >
      <p>One request of the type webhook.test is sent, without retries.</p>
    </Dialog>
  )
}

function Tested({ name, outcome, ask }: Props & { name: string; outcome: string }) {
  return (
    <Dialog
      title={`The test of ${name}`}
      action="Close"
      onSubmit={async () => {}}
      onClose={() => ask(null)}
    >
      <p>The receiver: {outcome}.</p>
    </Dialog>
  )
}

function Enable({ name, enabled, ask, done }: Props & { name: string; enabled: boolean }) {
  const submit = async () => {
    await unwrap(api.admin.webhooks({ name }).patch({ enabled } as never))
  }
  return (
    <Dialog
      title={`${enabled ? 'Enable' : 'Disable'} ${name}?`}
      action={enabled ? 'Enable it' : 'Disable it'}
      onSubmit={submit}
      onDone={done}
      onClose={() => ask(null)}
    >
      <p>
        {enabled
          ? 'It gets what is pending, and what is recorded from now on.'
          : 'Nothing is sent to it, not even later what is recorded until it is enabled again.'}
      </p>
    </Dialog>
  )
}

function Delete({ name, ask, done }: Props & { name: string }) {
  const submit = async () => {
    await unwrap(api.admin.webhooks({ name }).delete())
  }
  return (
    <Dialog
      title={`Delete ${name}?`}
      action="Delete it"
      isGrave
      onSubmit={submit}
      onDone={done}
      onClose={() => ask(null)}
    >
      <p>Its secrets and its deliveries are deleted, too. The events stay in the log.</p>
    </Dialog>
  )
}

const textOf = (form: FormData, name: string) => (form.get(name) as string).trim()
