import { within } from '../../platform/async/deadline.ts'
import { SourceError } from './sources/source.ts'

/** Limits on the time and bytes of a server's responses. */
export type Limits = {
  /** Maximum time (ms) without any data. */
  silenceMs: number
  /** Maximum time (ms) for a whole body, except for events, whose number is unlimited. */
  bodyMs: number
  /** Maximum bytes of an event's line. An event with the largest body fits. */
  lineBytes: number
}

/** The limits of an audit. */
export const LIMITS: Limits = {
  silenceMs: 60_000,
  bodyMs: 300_000,
  lineBytes: 512 * 1024 * 1024,
}

/** Requests a path below the service's URL. Throws SourceError unless the status is 200. */
export type Get = (path: string, accept?: string) => Promise<Response>

/** Sends a GET request. Throws SourceError if there is no answer. The body is not read yet. */
export async function open(
  url: string,
  headers: Record<string, string>,
  { silenceMs }: Limits,
): Promise<Response> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), silenceMs)
  try {
    return await fetch(url, { headers, redirect: 'error', signal: abort.signal })
  } catch (error) {
    throw new SourceError(`${url}: no answer (${(error as Error).message})`)
  } finally {
    clearTimeout(timer)
  }
}

/** Reads a body's chunks. Throws SourceError if it breaks off or stays silent for too long. */
async function* readChunks(response: Response, { silenceMs }: Limits): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const reader = response.body.getReader()
  const tooSilent = () => new SourceError(`${response.url}: no data for ${silenceMs / 1000} s`)
  try {
    for (;;) {
      const part = await within(silenceMs, reader.read(), tooSilent)
      if (part.done) return
      yield part.value
    }
  } catch (error) {
    if (error instanceof SourceError) throw error
    throw new SourceError(`${response.url}: connection lost (${(error as Error).message})`)
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** Reads a whole body. Throws SourceError if it has more than `maxBytes`. */
export async function readBody(
  response: Response,
  maxBytes: number,
  limits: Limits,
): Promise<Buffer> {
  const end = performance.now() + limits.bodyMs
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of readChunks(response, limits)) {
    bytes += chunk.length
    if (performance.now() > end) throw new SourceError(`${response.url}: the response is too slow`)
    if (bytes > maxBytes) throw new SourceError(`${response.url}: more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Reads a body's lines. Throws SourceError if one is longer than `lineBytes`. */
export async function* readLines(response: Response, limits: Limits): AsyncGenerator<string> {
  const { lineBytes } = limits
  let rest: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of readChunks(response, limits)) {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield decode([...rest, chunk.subarray(from, end)])
      rest = []
      bytes = 0
      from = end + 1
    }
    rest.push(chunk.subarray(from))
    bytes += chunk.length - from
    if (bytes > lineBytes) {
      throw new SourceError(`${response.url}: a line of more than ${lineBytes} bytes`)
    }
  }
  if (bytes > 0) throw new SourceError(`${response.url}: the last line is incomplete`)
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const decode = (chunks: Uint8Array[]) => decoder.decode(Buffer.concat(chunks))
