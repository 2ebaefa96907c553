import { treaty } from '@elysiajs/eden/treaty2'
import type { Exact } from '../../events/exact.ts'
import type { createApp } from '../../service/routes.ts'

/** What stands in front of all paths of the service, `/tallybook`; or ''. */
export const BASE = document.getElementById('console')!.dataset.base!

/** The service, typed by its own routes. The session's cookie goes along by itself. */
export const api = treaty<ReturnType<typeof createApp>>(location.origin + BASE, {
  // What is no good answer is for Eden to make an error of.
  onResponse: (response) =>
    response.ok && isJson(response) ? response.text().then(parseExact) : null,
})

const isJson = ({ headers }: Response) => /json/.test(headers.get('content-type') ?? '')

/** JSON in which a whole number above 2^53 keeps all its digits. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, ((_: string, value: unknown, context?: { source?: string }): unknown => {
    const isRounded = typeof value === 'number' && Number.isInteger(value)
    if (!isRounded || Number.isSafeInteger(value) || !context?.source) return value
    return /^-?\d+$/.test(context.source) ? (BigInt(context.source) satisfies Exact) : value
  }) as Parameters<typeof JSON.parse>[1])
}

/** Why a read or a change didn't come about, for people. */
export class Failure extends Error {
  override name = 'Failure'

  constructor(
    /** HTTP status; 0: there was no answer. */
    readonly status: number,
    message: string,
  ) {
    super(message)
  }

  /** True where trying again later may succeed. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503
  }

  static from(error: unknown): Failure {
    if (error instanceof Failure) return error
    return new Failure(0, 'The service is not to be reached.')
  }
}

/** What a read gave, and at which positions of the log it stands. */
export type Result<Value> = { value: Value; position: string | null }

/** What Eden gives for a request. */
export type Answer<Value> = {
  data: Value | null
  error: { status: unknown; value: unknown } | null
  status: number
  response: Response | undefined
}

/** Told when the service no longer knows who this is. */
export const onUnauthorized = { tell: () => {} }

/** The body of a good answer; throws the Failure of any other. */
export async function unwrap<Value>(answer: Promise<Answer<Value>>): Promise<Result<Value>> {
  let settled: Answer<Value>
  try {
    settled = await answer
  } catch (error) {
    throw Failure.from(error)
  }
  const { data, error, status, response } = settled
  // Eden makes a 503 of a request that got no answer.
  if (!response) throw Failure.from(error)
  if (error === null) {
    return { value: data as Value, position: response.headers.get('tallybook-position') }
  }
  if (status === 401) onUnauthorized.tell()
  throw new Failure(status, toSentence(status, error.value))
}

/** What a problem (RFC 9457) says to people. */
function toSentence(status: number, problem: unknown): string {
  const { detail, error } = (problem ?? {}) as { detail?: string; error?: string }
  if (status === 404) return 'There is nothing here.'
  if (status === 503 || status === 429)
    return `Not now (${error ?? 'unavailable'}). It is tried again by itself.`
  return detail ?? error ?? `The service answered ${status}.`
}
