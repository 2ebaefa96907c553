import { hostProblem } from './host.ts'
import { Problem } from './problem.ts'

export type Route = { method: string; path: string }

/** Matches a segment that is a parameter; the group matches if the segment is optional. */
const PARAMETER = /^:[^?]+(\?)?$/

/**
 * Answers requests that match no route: 405 with `Allow` if the path has routes for other methods,
 * otherwise 404. It never calls a route. Bun matches the path as it was sent, and so do proxies in
 * front. Here the path is already normalized (`/internal/..\admin` is `/admin`), so a second match
 * must not give access that the first one denied.
 */
export function answerUnmatched(request: Request, routes: readonly Route[]): Response {
  const problem = hostProblem(request)
  if (problem !== null) return problem.toResponse()
  const path = pathOf(request.url)
  const methods = new Set(
    routes.filter((route) => matches(route.path, path)).map(({ method }) => method),
  )
  if (methods.has('GET')) methods.add('HEAD')
  if (methods.size === 0 || methods.has(request.method)) {
    return new Problem(404, 'not found').toResponse()
  }
  const allow = [...methods].sort().join(', ')
  return new Problem(405, 'method not allowed', `Allowed: ${allow}.`, { allow }).toResponse()
}

/** Returns the path of a request's URL, which is relative if the request has no usable host. */
export function pathOf(url: string): string {
  return new URL(url, 'http://localhost').pathname
}

function matches(pattern: string, path: string): boolean {
  const expected = pattern.split('/')
  const actual = path.split('/')
  if (actual.length > expected.length) return false
  return expected.every((segment, i) => {
    const optional = PARAMETER.exec(segment)
    if (actual[i] === undefined) return optional?.[1] === '?'
    return optional ? actual[i] !== '' : actual[i] === segment
  })
}
