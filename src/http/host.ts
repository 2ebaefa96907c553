import { Problem } from './problem.ts'

/** Not in a host and its port: blanks, delimiters, what joins two headers, and all but ASCII. */
const INVALID = /[^\x21-\x7e]|[,/?#@\\]/

/**
 * The problem 400 of a request with two Host headers, or one that is no host (RFC 9112, section
 * 3.2): a proxy in front may have read it in another way. null if it has one, or none (HTTP/1.0).
 */
export function hostProblem(request: Request): Problem | null {
  const host = request.headers.get('host')
  if (host === null || !INVALID.test(host)) return null
  return new Problem(400, 'invalid request', 'Send one Host header with a host and its port.')
}

/** A hook of every route; throws that problem. */
export function refuseBadHost({ request }: { request: Request }): void {
  const problem = hostProblem(request)
  if (problem !== null) throw problem
}
