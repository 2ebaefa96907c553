import { Problem } from './problem.ts'

/** Invalid in a host with a port: blanks, delimiters, the comma of joined headers, non-ASCII. */
const INVALID = /[^\x21-\x7e]|[,/?#@\\]/

/**
 * Returns problem 400 for a request with two Host headers or an invalid one (RFC 9112, section
 * 3.2), which a proxy may have interpreted differently. Returns null for one valid header, or none
 * (HTTP/1.0).
 */
export function hostProblem(request: Request): Problem | null {
  const host = request.headers.get('host')
  if (host === null || !INVALID.test(host)) return null
  return new Problem(400, 'invalid request', 'Send one Host header with a valid host and port.')
}

/** A hook of every route: throws the problem of `hostProblem`, if any. */
export function refuseBadHost({ request }: { request: Request }): void {
  const problem = hostProblem(request)
  if (problem !== null) throw problem
}
