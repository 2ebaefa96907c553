// Requests to the service with the fetch of the platform.

export type Target = {
  /** The address of the service, with its base path if it has one. */
  url: string
  /** A token with the role `dp`. */
  token: string
}

export type Answer = { status: number; retryAfter: string | null; body: string }

/** The most that is read of an answer: answers to flushes are short. */
const MAX_ANSWER_BYTES = 65_536

export const urlOf = (target: Target, path: string) => `${target.url.replace(/\/+$/, '')}${path}`

type Deno = { createHttpClient(options: { poolMaxIdlePerHost: number }): unknown }

/**
 * Makes Deno open a connection for each request. On one that it has used before, it sends a request
 * again by itself, also after the first may have arrived: the client must know of every attempt.
 */
const ownConnection = (() => {
  const { Deno: deno } = globalThis as { Deno?: Deno }
  return deno === undefined ? {} : { client: deno.createHttpClient({ poolMaxIdlePerHost: 0 }) }
})()

/** Posts a flush. Throws if there is no complete answer. */
export async function post(
  target: Target,
  flush: { path: string; key: string; sequence: string | null },
  body: string,
  signal: AbortSignal,
): Promise<Answer> {
  const response = await fetch(urlOf(target, flush.path), {
    method: 'POST',
    redirect: 'manual',
    headers: {
      authorization: `Bearer ${target.token}`,
      'content-type': 'application/json',
      'idempotency-key': flush.key,
      ...(flush.sequence !== null && { 'tallybook-sequence': flush.sequence }),
    },
    body,
    signal,
    ...ownConnection,
  })
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: await readText(response),
  }
}

/** Reads the beginning of a body; throws if the connection ends before the body does. */
async function readText(response: Response): Promise<string> {
  if (response.body === null) return ''
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_ANSWER_BYTES) break
  }
  return text
}
