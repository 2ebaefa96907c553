import { SourceError } from './sources/source.ts'

/** How long a server may take, and how much it may send without an end of a line. */
export type Limits = {
  /** Milliseconds in which it has to send something. */
  silenceMs: number
  /** Milliseconds for a whole body, but for events, which are as many as they are. */
  bodyMs: number
  /** Bytes of an event's line: a body of the largest size fits. */
  lineBytes: number
}

export const LIMITS: Limits = {
  silenceMs: 60_000,
  bodyMs: 300_000,
  lineBytes: 512 * 1024 * 1024,
}

/** A GET of a path below the service's URL, and what came; throws SourceError unless it is 200. */
export type Get = (path: string, accept?: string) => Promise<Response>

/** A GET request; throws SourceError where there is no answer. The body is not read yet. */
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

/** A body's chunks; throws SourceError where it breaks off or nothing comes for long. */
async function* readChunks(response: Response, { silenceMs }: Limits): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const reader = response.body.getReader()
  try {
    for (;;) {
      const part = await within(silenceMs, reader.read(), response.url)
      if (part.done) return
      yield part.value
    }
  } catch (error) {
    if (error instanceof SourceError) throw error
    throw new SourceError(`${response.url}: broken off (${(error as Error).message})`)
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** A whole body; throws SourceError above `most` bytes. */
export async function readBody(response: Response, most: number, limits: Limits): Promise<Buffer> {
  const end = performance.now() + limits.bodyMs
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of readChunks(response, limits)) {
    bytes += chunk.length
    if (performance.now() > end) throw new SourceError(`${response.url}: it comes too slowly`)
    if (bytes > most) throw new SourceError(`${response.url}: longer than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A body's lines; throws SourceError where one is longer than `lineBytes`. */
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
  if (bytes > 0) throw new SourceError(`${response.url}: the last line has no end`)
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const decode = (chunks: Uint8Array[]) => decoder.decode(Buffer.concat(chunks))

async function within<Value>(ms: number, reading: Promise<Value>, url: string): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    const late = () => reject(new SourceError(`${url}: nothing came for ${ms / 1000} s`))
    timer = setTimeout(late, ms)
  })
  try {
    return await Promise.race([reading, silence])
  } finally {
    clearTimeout(timer)
  }
}
