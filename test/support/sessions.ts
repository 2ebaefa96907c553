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

/** `tallybook_session=…` of an answer's Set-Cookie. */
export function cookieOf(response: Response): string {
  const cookie = response.headers.get('set-cookie')?.split(';')[0]
  if (cookie === undefined) throw new Error(`no cookie: ${response.status}`)
  return cookie
}

/** The cookie of a new session. */
export const signIn = async (service: TestService, token: string): Promise<string> =>
  cookieOf(await postSession(service, token))

/** A request with a cookie instead of a token. */
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

/** Makes a token; gives its text. */
export async function makeToken(service: TestService, name: string, role: string): Promise<string> {
  const body = JSON.stringify({ name, role })
  const response = await service.fetch('admin', '/admin/tokens', { method: 'POST', body })
  if (response.status !== 201) throw new Error(`no token: ${response.status}`)
  return ((await response.json()) as { token: string }).token
}

export const revokeToken = (service: TestService, name: string): Promise<Response> =>
  service.fetch('admin', `/admin/tokens/${name}`, { method: 'DELETE' })

/** The status once it is `status`, or what it still is after so many ms. */
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
