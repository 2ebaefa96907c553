import { within } from '../../platform/async/deadline.ts'
import { request, toFailure } from './s3-request.ts'
import { checkObjectName, isObjectName, type SegmentStore, type StoreFailure } from './store.ts'

/**
 * Milliseconds that a request may take, and one part of an upload with its retries; and how long to
 * wait before each retry of a request.
 */
export type S3Timeouts = { request: number; part: number; retries: readonly number[] }

/** S3 asks clients to try again when it is busy. */
const TIMEOUTS: S3Timeouts = { request: 10_000, part: 120_000, retries: [200, 1_000] }

/** Bytes of a part of an upload: two are in memory at a time. 10,000 parts are 80 GiB. */
const UPLOAD = { partSize: 8 * 1024 * 1024, queueSize: 2, retry: 2 }

/** Bytes per millisecond that a slow connection transfers: a longer range has more time. */
const SLOWEST_BYTES_PER_MS = 100

/** Seconds for which a signed URL is valid: it is used at once. */
const SIGNED_SECONDS = 300

/** Most names that a listing may have: those of a thousand years. */
const MAX_NAMES = 1_000_000

/** A bucket, the prefix of its objects ('' or ending with a slash), and how to reach it. */
export type S3Options = {
  bucket: string
  prefix: string
  /** By default, Bun's client reads credentials, region and endpoint from `S3_*` and `AWS_*`. */
  client?: Bun.S3Options
  timeouts?: S3Timeouts
}

/**
 * Opens a bucket as a store. Bun's client signs requests and uploads; reads, and what needs the
 * status of an answer, go by `fetch` to URLs that it signs: the client has no timeout, hides
 * statuses, and takes a whole object for a part if the server ignores ranges.
 *
 * A large object is uploaded in parts. If the server stops answering or the process is killed, the
 * parts stay, and are paid for, until a rule of the bucket removes incomplete uploads.
 */
export function openS3({ bucket, prefix, client: options, timeouts }: S3Options): SegmentStore {
  const client = new Bun.S3Client({ ...options, bucket })
  const { request: requestMs, part: partMs, retries } = timeouts ?? TIMEOUTS
  const keyOf = (name: string) => {
    checkObjectName(name)
    return prefix + name
  }
  const ask = async (method: 'GET' | 'HEAD' | 'DELETE', name: string, range?: ByteRange) => {
    const key = keyOf(name)
    const sign = () => client.presign(key, { method, expiresIn: SIGNED_SECONDS })
    const ms = requestMs + Math.ceil((range?.length ?? 0) / SLOWEST_BYTES_PER_MS)
    return await request(sign, { method, ms, range, name, retries })
  }
  const sizeOf = async (name: string) => {
    const answer = await ask('HEAD', name)
    if (answer.kind !== 'answered') return answer
    const text = answer.headers.get('content-length') ?? ''
    if (!/^\d{1,15}$/.test(text)) return lied(`${name} has no Content-Length`)
    return { kind: 'found', bytes: Number(text) } as const
  }
  const remove = async (name: string) => {
    const answer = await ask('DELETE', name)
    return answer.kind === 'answered' ? ({ kind: 'removed' } as const) : answer
  }
  return {
    url: `s3://${bucket}/${prefix}`.replace(/\/$/, ''),
    size: sizeOf,
    remove,

    async put(name, content) {
      const found = await sizeOf(name)
      if (found.kind === 'found') return { kind: 'exists' }
      if (found.kind !== 'not_found') return found
      const uploaded = await upload(client.file(keyOf(name)), content, partMs)
      if (uploaded.kind === 'broken') {
        await remove(name)
        throw uploaded.error
      }
      if (uploaded.kind !== 'stored') return uploaded
      const stored = await sizeOf(name)
      if (stored.kind === 'not_found') return lied(`${name} is not there after the upload`)
      if (stored.kind !== 'found') return stored
      if (stored.bytes === uploaded.bytes) return uploaded
      return lied(`${name} has ${stored.bytes} bytes after an upload of ${uploaded.bytes}`)
    },

    async read(name, range) {
      const answer = await ask('GET', name, range)
      return answer.kind === 'answered' ? { kind: 'read', bytes: answer.body } : answer
    },

    async list() {
      const names: string[] = []
      let after: string | undefined
      do {
        const listed = client.list({ prefix, ...(after !== undefined && { startAfter: after }) })
        const page = await settle(listed, requestMs)
        if (page.kind !== 'settled') return page
        const keys = page.value.contents?.map(({ key }) => key) ?? []
        const last = keys.at(-1)
        if (page.value.isTruncated && !(last !== undefined && last > (after ?? ''))) {
          return lied('a page of the listing does not continue the page before')
        }
        names.push(...keys.map((key) => key.slice(prefix.length)).filter(isObjectName))
        after = page.value.isTruncated ? last : undefined
        if (names.length > MAX_NAMES) return lied(`there are more than ${MAX_NAMES} objects`)
      } while (after !== undefined)
      return { kind: 'listed', names: names.sort() }
    },
  }
}

type ByteRange = { offset: number; length: number }

const lied = (reason: string): StoreFailure => ({ kind: 'lied', reason })

/**
 * Uploads what `content` yields: in one request, or in parts if it is larger than one. If `content`
 * fails, Bun's client can't abort: the part that was sent becomes an object, which the caller
 * removes.
 */
async function upload(
  file: Bun.S3File,
  content: AsyncIterable<Uint8Array>,
  partMs: number,
): Promise<{ kind: 'stored'; bytes: number } | { kind: 'broken'; error: unknown } | StoreFailure> {
  const writer = file.writer({ ...UPLOAD, type: 'application/octet-stream' })
  let bytes = 0
  try {
    for await (const chunk of content) {
      bytes += chunk.length
      const sent = await settle(sendChunk(writer, chunk), partMs)
      if (sent.kind !== 'settled') return sent
    }
  } catch (error) {
    await settle(Promise.resolve(writer.end()), partMs)
    return { kind: 'broken', error }
  }
  const ended = await settle(Promise.resolve(writer.end()), partMs)
  return ended.kind === 'settled' ? { kind: 'stored', bytes } : ended
}

/** Resolves when there is room for the next chunk. */
async function sendChunk(writer: Bun.NetworkSink, chunk: Uint8Array): Promise<void> {
  await writer.write(chunk)
  await writer.flush()
}

/** Turns what Bun's client throws into failures, and waits at most `ms`. */
async function settle<Value>(
  work: Promise<Value>,
  ms: number,
): Promise<{ kind: 'settled'; value: Value } | StoreFailure> {
  try {
    const late = () => Object.assign(new Error(`no answer within ${ms} ms`), { code: 'Timeout' })
    return { kind: 'settled', value: await within(ms, work, late) }
  } catch (error) {
    const { code = '', message } = error as Error & { code?: string }
    return toFailure({ status: null, code, message })
  }
}
