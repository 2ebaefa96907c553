import { Problem } from './problem.ts'

/** draft-ietf-httpapi-idempotency-key-header: absent, or 1 to 255 visible ASCII characters. */
export function readIdempotencyKey(request: Request): string | null {
  const key = request.headers.get('idempotency-key')
  if (key === null || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new Problem(
    400,
    'invalid idempotency key',
    'Idempotency-Key must have 1 to 255 visible ASCII characters.',
  )
}
