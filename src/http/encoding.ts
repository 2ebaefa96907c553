/** True if the client accepts gzip: by name, with any weight except 0 (RFC 9110). */
export function takesGzip({ headers }: Request): boolean {
  const accepted = headers.get('accept-encoding') ?? ''
  return accepted.split(',').some((coding) => GZIP.test(coding))
}

const GZIP = /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i
