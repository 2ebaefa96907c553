import { ROLES } from '../auth/roles.ts'
import type { StoredToken } from '../auth/token-store.ts'
import { UserError } from '../platform/user-error.ts'
import { connectToService } from './client.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook token create <name> <role> | list | revoke <name>\n' +
  `Roles: ${ROLES.join(', ')}. The service must be running at TALLYBOOK_HOST and TALLYBOOK_PORT.`

/** Creates, lists and revokes tokens of the running service. */
export async function token(args: string[]): Promise<void> {
  const [action, name, role, ...rest] = args
  if (action === 'create' && name && role && rest.length === 0) return create(name, role)
  if (action === 'list' && name === undefined) return list()
  if (action === 'revoke' && name && role === undefined) return revoke(name)
  throw new UserError(USAGE)
}

async function create(name: string, role: string): Promise<void> {
  const { send } = await connectToService(['admin'])
  const made = await send<{ token: string }>('admin', 'POST', '/admin/tokens', { name, role })
  console.log(made.token)
}

async function list(): Promise<void> {
  const { send } = await connectToService(['admin'])
  const { items } = await send<{ items: StoredToken[] }>('admin', 'GET', '/admin/tokens')
  for (const { name, role, created_at, revoked_at } of items) {
    const state = revoked_at === null ? 'live' : `revoked ${revoked_at}`
    console.log([name.padEnd(24), role.padEnd(8), created_at, state].join('  '))
  }
}

async function revoke(name: string): Promise<void> {
  const { send } = await connectToService(['admin'])
  await send('admin', 'DELETE', `/admin/tokens/${encodeURIComponent(name)}`)
  console.log(`Revoked ${name}`)
}
