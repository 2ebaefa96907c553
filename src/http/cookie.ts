import { Problem } from './problem.ts'

const NAME = 'tallybook_session'

/** The id of the session that a browser presents; null where it presents none. */
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
 * The Set-Cookie that begins a session for so many seconds, or ends it (0). No script sees it, no
 * other site's request carries it, and it never goes over plain HTTP where the page came by HTTPS.
 */
export function writeCookie(
  request: Request,
  basePath: string,
  id: string,
  seconds: number,
): string {
  const secure = request.headers.get('origin')?.startsWith('https:') ? '; Secure' : ''
  const path = basePath || '/'
  return `${NAME}=${id}; Path=${path}; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

/**
 * Throws the problem 403 where another site's page makes a browser change something here. Browsers
 * say where a request comes from; what says nothing is no browser, and carries no cookie of one.
 */
export function refuseCrossOrigin(request: Request): void {
  if (request.method === 'GET' || request.method === 'HEAD') return
  const site = request.headers.get('sec-fetch-site')
  if (site === 'same-origin' || (site === null && isSameHost(request))) return
  throw new Problem(403, 'forbidden', 'That comes from another site.')
}

function isSameHost(request: Request): boolean {
  const origin = request.headers.get('origin')
  return origin === null || URL.parse(origin)?.host === request.headers.get('host')
}
