import { type Role, TOKEN_VARIABLES } from '../auth/roles.ts'
import { readToken } from '../auth/token-files.ts'
import { UserError } from '../platform/user-error.ts'
import { readConfig } from '../service/config.ts'

/** Sends requests to a running service with the tokens of `Roles`. */
export type Client<Roles extends Role> = {
  url: string
  /** Sends a request and returns the answer, whatever its status. Throws UserError without one. */
  request(
    role: Roles | null,
    method: string,
    path: string,
    body?: string,
    headers?: Record<string, string>,
  ): Promise<Response>
  /**
   * Sends a request with the token of a role, or with none. Returns the JSON answer. Throws
   * UserError with the service's answer if it refuses.
   */
  send<Answer>(
    role: Roles | null,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>
}

/**
 * Returns a client of the service at `url`, by default the one that the environment names. Throws
 * UserError before anything is sent if the token of one of these roles is missing.
 */
export async function connectToService<Roles extends Role>(
  roles: readonly Roles[],
  url?: string,
): Promise<Client<Roles>> {
  const config = readConfig(process.env)
  const tokens = new Map<Role, string>()
  for (const role of roles) tokens.set(role, await readToken(config.dataDir, role, config.tokens))
  const { host, port, certificate } = config
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const own = `${certificate === null ? 'http' : 'https'}://${authority}`
  const base = (url ?? own).replace(/\/+$/, '')
  // The certificate of a service on this machine is for the name that others use.
  const tls = url === undefined ? { tls: { rejectUnauthorized: false } } : {}
  const request: Client<Roles>['request'] = async (role, method, path, body, headers = {}) => {
    const response = await fetch(base + path, {
      method,
      headers: { ...(role && { authorization: `Bearer ${tokens.get(role)}` }), ...headers },
      ...(body === undefined ? {} : { body }),
      ...tls,
    }).catch((error: Error) => {
      throw new UserError(`No service answers at ${base} (${error.message}): start one first.`)
    })
    if (response.status === 401 && role !== null) throw unknownToken(base, role)
    return response
  }
  return {
    url: base,
    request,
    send: async (role, method, path, body, headers) => {
      const json = body === undefined ? undefined : JSON.stringify(body)
      const response = await request(role, method, path, json, headers)
      const text = await response.text()
      if (response.ok) return (text === '' ? null : JSON.parse(text)) as never
      throw new UserError(`${method} ${path} answered ${response.status}, ${reasonOf(text)}`)
    },
  }
}

/** For example, the token of a data directory whose service now runs with fixed tokens. */
const unknownToken = (url: string, role: Role) =>
  new UserError(
    `The service at ${url} does not accept this ${role} token: set ${TOKEN_VARIABLES[role]} to ` +
      'one that it accepts.',
  )

/** Returns what a problem says, or the text of any other answer. */
function reasonOf(text: string): string {
  try {
    const { error, detail } = JSON.parse(text) as { error: string; detail?: string }
    return detail === undefined ? error : `${error}: ${detail}`
  } catch {
    return text
  }
}
