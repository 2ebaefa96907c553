import type { Range, StoreFailure } from './store.ts'

/** A successful answer: with a body only if a range was asked for. */
export type S3Answer = { kind: 'answered'; headers: Headers; body: Buffer<ArrayBuffer> }

type Request = {
  method: 'GET' | 'HEAD' | 'DELETE'
  /** Milliseconds that one attempt may take, to the last byte. */
  ms: number
  /** Exactly this is returned, or a failure. */
  range?: Range | undefined
  /** The object, for messages. */
  name: string
  /** Milliseconds to wait before each retry. */
  retries: readonly number[]
}

/** Sends a request, and again if the store was unavailable, as often as `retries` says. */
export async function request(
  sign: () => string,
  options: Request,
): Promise<S3Answer | StoreFailure> {
  let answer = await requestOnce(sign, options)
  for (const delay of options.retries) {
    if (answer.kind !== 'unavailable') break
    await Bun.sleep(delay)
    answer = await requestOnce(sign, options)
  }
  return answer
}

async function requestOnce(sign: () => string, options: Request): Promise<S3Answer | StoreFailure> {
  const { method, ms, range, name } = options
  const aborter = new AbortController()
  const timer = setTimeout(() => aborter.abort(new Error(`no answer within ${ms} ms`)), ms)
  try {
    const response = await fetch(sign(), {
      method,
      signal: aborter.signal,
      // A redirect leads to another region, for which the signature is wrong.
      redirect: 'manual',
      decompress: false,
      headers: range ? { range: `bytes=${range.offset}-${range.offset + range.length - 1}` } : {},
    })
    if (!response.ok) return await readFailure(response)
    if (range === undefined) {
      return { kind: 'answered', headers: response.headers, body: Buffer.alloc(0) }
    }
    return await readRange(response, range, name)
  } catch (error) {
    const { code = '', message } = error as Error & { code?: string }
    return toFailure({ status: null, code, message: aborter.signal.reason?.message ?? message })
  } finally {
    clearTimeout(timer)
    aborter.abort()
  }
}

async function readRange(
  response: Response,
  { offset, length }: Range,
  name: string,
): Promise<S3Answer | StoreFailure> {
  const last = offset + length - 1
  const stated = response.headers.get('content-range') ?? 'none'
  if (response.status !== 206 || !stated.startsWith(`bytes ${offset}-${last}/`)) {
    const reason = `${name}: bytes ${offset}-${last} were asked for, and ${stated} returned`
    return { kind: 'lied', reason }
  }
  const body = await readBody(response, length + 1)
  if (body.length !== length) {
    const reason = `${name}: bytes ${offset}-${last} have another length`
    return { kind: 'lied', reason }
  }
  return { kind: 'answered', headers: response.headers, body }
}

/** Reads a body, at most so many bytes of it: the rest is not waited for. */
async function readBody(response: Response, most: number): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= most) break
  }
  return Buffer.concat(chunks).subarray(0, most)
}

/** Bytes of an error's body that are read. S3's have some 300. */
const ERROR_BYTES = 4_096

async function readFailure(response: Response): Promise<StoreFailure> {
  const text = (await readBody(response, ERROR_BYTES)).toString('latin1')
  const code = /<Code>([\w.]{1,64})<\/Code>/.exec(text)?.[1] ?? ''
  return toFailure({ status: response.status, code, message: '' })
}

/** Codes of S3 and of servers compatible with it for a store that has no room. */
const FULL = /^(?:XMinioStorageFull|InsufficientCapacity|InsufficientStorage|QuotaExceeded)$/

const DENIED =
  /^(?:AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ERR_S3_MISSING_CREDENTIALS)$/

/** Returns the failure that a status and S3's code mean. The status is null if there is none. */
export function toFailure({
  status,
  code,
  message,
}: {
  status: number | null
  code: string
  message: string
}): StoreFailure {
  const answer = status === null ? '' : `the store answered ${status}`
  const reason = [answer, message.includes(code) ? '' : code, message].filter(Boolean).join(' ')
  if (status === 507 || FULL.test(code)) return { kind: 'full', reason }
  // A bucket that is missing is a wrong setting: the object may well be in the right one.
  if (code === 'NoSuchBucket') return { kind: 'unavailable', reason }
  if (status === 404 || code === 'NoSuchKey') return { kind: 'not_found', reason }
  if (status === 416) return { kind: 'lied', reason: `the object is too short: ${reason}` }
  if (status === 401 || status === 403 || DENIED.test(code)) return { kind: 'denied', reason }
  return { kind: 'unavailable', reason }
}
