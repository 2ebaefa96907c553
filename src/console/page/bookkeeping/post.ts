import { type Answer, Failure, unwrap } from '../api.ts'

/**
 * Returns the position of an act that was posted with the Idempotency-Key of its dialog or file.
 * Only an earlier attempt from there can have used the key, with an answer that got lost: so what
 * was entered then is in the log. Throws Failure.
 */
export async function positionOf(answer: Promise<Answer<{ position: string }>>): Promise<string> {
  try {
    return (await unwrap(answer)).value.position
  } catch (error) {
    const failure = Failure.from(error)
    if (failure.problem !== 'idempotency key reused') throw failure
    const text = 'What you entered before was recorded, although its answer got lost.'
    throw new Failure(failure.status, `${text} Nothing was recorded now. Look in the log.`)
  }
}

/** The header with an Idempotency-Key. */
export const withKey = (key: string) => ({ headers: { 'idempotency-key': key } })

/**
 * Returns a new Idempotency-Key. Not `crypto.randomUUID()`, which browsers have on HTTPS and on
 * localhost only.
 */
export const newIdempotencyKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
