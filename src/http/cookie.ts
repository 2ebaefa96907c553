import { Problem } from './problem.ts'

const NAME = 'tallybook_session'

/** Returns the session id in the request's cookie, or null if there is none. */
export function readCookie(request: Request): string | null {
  const cookies = request.headers.get('cookie')
  if (cookies === null) return null
  for (const cookie of cookies.split(';')) {
    const pair = cookie.trim()
    if (pair.startsWith(`${NAME}=`)) return pair.slice(NAME.length + 1)
  }
  return null
}

/**
 * Returns the Set-Cookie header that starts a session for `seconds`, or ends it with 0. Scripts
 * can't read the cookie, requests from other sites don't carry it, and if it `isSecure` it is never
 * sent over plain HTTP.
 */
export function writeCookie(
  isSecure: boolean,
  basePath: string,
  id: string,
  seconds: number,
): string {
  const secure = isSecure ? '; Secure' : ''
  const path = basePath || '/'
  return `${NAME}=${id}; Path=${path}; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

/**
 * Throws problem 403 if a page of another site makes a browser change something here. Browsers
 * state where a request comes from; a client that does not is no browser and has no cookie of one.
 */
export function refuseCrossOrigin(request: Request): void {
  if (request.method === 'GET' || request.method === 'HEAD') return
  const site = request.headers.get('sec-fetch-site')
  if (site === 'same-origin' || (site === null && isSameHost(request))) return
  throw new Problem(403, 'forbidden', 'Cross-site request rejected.')
}

function isSameHost(request: Request): boolean {
  const origin = request.headers.get('origin')
  return origin === null || URL.parse(origin)?.host === request.headers.get('host')
}
