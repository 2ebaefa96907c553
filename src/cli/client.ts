import { type Role, TOKEN_VARIABLES } from '../auth/roles.ts'
import { readToken } from '../auth/token-files.ts'
import { UserError } from '../platform/user-error.ts'
import { readConfig } from '../service/config.ts'

/** Requests to a running service with the tokens of some roles. */
export type Client<Roles extends Role> = {
  url: string
  /** The JSON answer; throws UserError with what the service says where it refuses. */
  send<Answer>(role: Roles, method: string, path: string, body?: unknown): Promise<Answer>
}

/**
 * A client of the service at `url`, or of the one that the environment names. Throws UserError if
 * it lacks the token of one of these roles: before anything is sent.
 */
export async function connectToService<Roles extends Role>(
  roles: readonly Roles[],
  url?: string,
): Promise<Client<Roles>> {
  const config = readConfig(process.env)
  const tokens = new Map<Role, string>()
  for (const role of roles) tokens.set(role, await readToken(config.dataDir, role, config.tokens))
  const { host, port } = config
  const base = (url ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`).replace(
    /\/+$/,
    '',
  )
  return {
    url: base,
    send: async (role, method, path, body) => {
      const request = {
        method,
        headers: { authorization: `Bearer ${tokens.get(role)}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }
      const response = await fetch(base + path, request).catch((error: Error) => {
        throw new UserError(`There is no service at ${base} (${error.message}): start one first.`)
      })
      const text = await response.text()
      if (response.ok) return (text === '' ? null : JSON.parse(text)) as never
      if (response.status === 401) throw unknownToken(base, role)
      throw new UserError(`${method} ${path} answered ${response.status}: ${text}`)
    },
  }
}

/** Such as that of a data directory whose service has had fixed ones since. */
const unknownToken = (url: string, role: Role) =>
  new UserError(
    `The service at ${url} does not know this ${role} token: set ${TOKEN_VARIABLES[role]} to ` +
      'its own.',
  )
