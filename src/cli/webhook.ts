import { UserError } from '../platform/user-error.ts'
import type { Outcome } from '../webhooks/send.ts'
import type { Webhook } from '../webhooks/store.ts'
import { connectToService } from './client.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook webhook create <name> <url> | list | test <name> | rotate <name> |\n' +
  '       enable <name> | disable <name> | delete <name>\n' +
  'Manages where events of rules are sent (docs/guides/webhooks.md). `create` and `rotate`\n' +
  'print the secret, once. The service must be running at TALLYBOOK_HOST and TALLYBOOK_PORT.'

const ROOT = '/admin/webhooks'

/** Manages the webhooks of the running service. */
export async function webhook(args: string[]): Promise<void> {
  const [action, name, url, ...rest] = args
  if (rest.length > 0) throw new UserError(USAGE)
  if (action === 'create' && name && url) return create(name, url)
  if (url !== undefined) throw new UserError(USAGE)
  if (action === 'list' && name === undefined) return list()
  if (name === undefined) throw new UserError(USAGE)
  const { send } = await connectToService(['admin'])
  const path = `${ROOT}/${encodeURIComponent(name)}`
  switch (action) {
    case 'test': {
      const { status, error } = await send<Outcome>('admin', 'POST', `${path}/test`)
      console.log(error ?? `Answered ${status}`)
      return
    }
    case 'rotate': {
      const { secret } = await send<{ secret: string }>('admin', 'POST', `${path}/rotate`)
      console.log(secret)
      return
    }
    case 'enable':
    case 'disable':
      await send('admin', 'PATCH', path, { enabled: action === 'enable' })
      console.log(`${action === 'enable' ? 'Enabled' : 'Disabled'} ${name}`)
      return
    case 'delete':
      await send('admin', 'DELETE', path)
      console.log(`Deleted ${name}`)
      return
    default:
      throw new UserError(USAGE)
  }
}

async function create(name: string, url: string): Promise<void> {
  const { send } = await connectToService(['admin'])
  const { secret } = await send<{ secret: string }>('admin', 'POST', ROOT, { name, url })
  console.log(secret)
}

async function list(): Promise<void> {
  const { send } = await connectToService(['admin'])
  const { items } = await send<{ items: Webhook[] }>('admin', 'GET', ROOT)
  for (const { name, url, enabled, failures, pending } of items) {
    const state = failures > 0 ? `${failures} failed` : 'ok'
    const text = [name.padEnd(24), enabled ? state : 'disabled', `${pending} pending`, url]
    console.log(text.join('  '))
  }
}
