/**
 * Returns a new Idempotency-Key. Not `crypto.randomUUID()`, which browsers have on HTTPS and on
 * localhost only.
 */
export const newIdempotencyKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
