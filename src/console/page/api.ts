import { treaty } from '@elysiajs/eden/treaty2'
import type { Exact } from '../../events/exact.ts'
import type { createApp } from '../../service/routes.ts'

/** The prefix of all paths of the service, such as `/tallybook`, or ''. */
export const BASE = document.getElementById('console')!.dataset.base!

/** A client of the service, typed by its routes. The browser adds the session's cookie. */
export const api = treaty<ReturnType<typeof createApp>>(location.origin + BASE, {
  // Eden turns every other response into an error.
  onResponse: (response) =>
    response.ok && isJson(response) ? response.text().then(parseExact) : null,
})

const isJson = ({ headers }: Response) => /json/.test(headers.get('content-type') ?? '')

/** Parses JSON; a whole number above 2^53 becomes a bigint with all of its digits. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, ((_: string, value: unknown, context?: { source?: string }): unknown => {
    const isRounded = typeof value === 'number' && Number.isInteger(value)
    if (!isRounded || Number.isSafeInteger(value) || !context?.source) return value
    return /^-?\d+$/.test(context.source) ? (BigInt(context.source) satisfies Exact) : value
  }) as Parameters<typeof JSON.parse>[1])
}

/** Why a read or a change failed, in a sentence for the user. */
export class Failure extends Error {
  override name = 'Failure'

  constructor(
    /** HTTP status; 0 if there was no answer. */
    readonly status: number,
    message: string,
    /** The `error` of the problem that the service answered. */
    readonly problem: string | null = null,
  ) {
    super(message)
  }

  /** True if a retry may succeed. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503
  }

  static from(error: unknown): Failure {
    if (error instanceof Failure) return error
    return new Failure(0, 'The service is unreachable.')
  }
}

/** The value of a read, and the positions of the log that it reflects. */
export type Result<Value> = { value: Value; position: string | null }

/** Eden's answer to a request. */
export type Answer<Value> = {
  data: Value | null
  error: { status: unknown; value: unknown } | null
  status: number
  response: Response | undefined
}

/** Its function is called when the service no longer accepts the session. */
export const onUnauthorized = { notify: () => {} }

/** Returns the body of a successful answer; throws Failure for any other. */
export async function unwrap<Value>(answer: Promise<Answer<Value>>): Promise<Result<Value>> {
  let settled: Answer<Value>
  try {
    settled = await answer
  } catch (error) {
    throw Failure.from(error)
  }
  const { data, error, status, response } = settled
  // Eden reports a request without an answer as a 503.
  if (!response) throw Failure.from(error)
  if (error === null) {
    return { value: data as Value, position: response.headers.get('tallybook-position') }
  }
  if (status === 401) onUnauthorized.notify()
  const { error: problem = null } = (error.value ?? {}) as { error?: string | null }
  throw new Failure(status, toSentence(status, error.value), problem)
}

/** Turns a problem (RFC 9457) into a sentence for the user. */
function toSentence(status: number, problem: unknown): string {
  const { detail, error } = (problem ?? {}) as { detail?: string; error?: string }
  if (status === 404) return 'Not found.'
  if (status === 503 || status === 429)
    return `Temporarily unavailable (${error ?? status}). Try again in a moment.`
  return detail ?? error ?? `The service answered with status ${status}.`
}
