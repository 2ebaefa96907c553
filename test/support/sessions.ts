import type { TestService } from './service.ts'

/** Signs in with a token, as the console does. */
export function postSession(
  service: TestService,
  token: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const body = JSON.stringify({ token })
  return service.fetch(null, '/session', { method: 'POST', body, headers })
}

/** Returns the `tallybook_session=…` of a response's Set-Cookie. */
export function cookieOf(response: Response): string {
  const cookie = response.headers.get('set-cookie')?.split(';')[0]
  if (cookie === undefined) throw new Error(`no cookie: ${response.status}`)
  return cookie
}

/** Signs in and returns the session's cookie. */
export const signIn = async (service: TestService, token: string): Promise<string> =>
  cookieOf(await postSession(service, token))

/** Sends a request with a cookie instead of a token. */
export function fetchWith(
  service: TestService,
  cookie: string,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('cookie', cookie)
  return service.fetch(null, path, { ...init, headers })
}

/** Creates a token and returns its text. */
export async function makeToken(service: TestService, name: string, role: string): Promise<string> {
  const body = JSON.stringify({ name, role })
  const response = await service.fetch('admin', '/admin/tokens', { method: 'POST', body })
  if (response.status !== 201) throw new Error(`no token: ${response.status}`)
  return ((await response.json()) as { token: string }).token
}

export const revokeToken = (service: TestService, name: string): Promise<Response> =>
  service.fetch('admin', `/admin/tokens/${name}`, { method: 'DELETE' })

/** Polls until `read` returns `status`; after `ms`, returns what it returns then. */
export async function soon(
  status: number,
  read: () => Promise<number>,
  ms = 20_000,
): Promise<number> {
  for (let waited = 0; waited < ms; waited += 50) {
    if ((await read()) === status) return status
    await Bun.sleep(50)
  }
  return read()
}
