import { within } from '../platform/async/deadline.ts'
import { gunzip, gunzipSmall, isGzip } from './content-coding.ts'
import { isTooDense, LARGE_BYTES, TOO_DENSE } from './dense.ts'
import { Problem, tooManyRequests, unavailable } from './problem.ts'

/**
 * Large bodies that may be read at once if all have the maximum size, in total and per client.
 */
const LARGE_AT_ONCE = { all: 16, client: 4 }

/** The slowest rate of a large body: after `afterMs` it must have arrived at `bytesPerMs`. */
const SLOWEST = { afterMs: 10_000, bytesPerMs: 64 }

/**
 * A body above this size is counted as it arrives; smaller ones by their Content-Length. It is
 * passed on as bytes if there is a taker, because parsing it on this thread would take some 5 ms.
 */
const VERY_LARGE_BYTES = 256 * 1024

/** Takes the bytes of a very large body and owns them from then on. */
type Taker<Value> = (bytes: Uint8Array) => Promise<Value>

/** Runs `work` when it is the client's turn. */
type InTurn = <Value>(
  client: string,
  request: Request,
  work: () => Promise<Value>,
) => Promise<Value>

type BodyReaderOptions = {
  /** Schedules reading the rest of a very large body and passing it on; by default at once. */
  inTurn?: InTurn
  slowest?: typeof SLOWEST
}

/** The part of a body that has arrived. */
type Arrived = {
  arriving: AsyncIterator<Uint8Array>
  chunks: Uint8Array[]
  bytes: number
  /** How many of these bytes count towards the limits. */
  counted: number
  /** The time from which the rate is measured (performance.now). */
  started: number
}

/** Reads request bodies, and limits the size of each and of all that are read at once. */
export class BodyReader {
  #largeBytes = 0
  /** The part of `#largeBytes` per client; clients with 0 have no entry. */
  readonly #bytesByClient = new Map<string, number>()

  readonly #inTurn: InTurn
  readonly #slowest: typeof SLOWEST

  constructor(
    private readonly limitBytes: number,
    { inTurn = (_client, _request, work) => work(), slowest = SLOWEST }: BodyReaderOptions = {},
  ) {
    this.#inTurn = inTurn
    this.#slowest = slowest
  }

  /**
   * Reads the body as UTF-8 text, decompressed and whatever its Content-Type. Throws problem 413
   * above the limit, 415 for a coding other than gzip, 429 if too many large bodies of this client
   * are being read, 503 if too many of all clients are, 408 for a large body that arrives too
   * slowly, and 400 for one that is broken or malicious.
   *
   * If `take` is given, a very large body is passed to it as bytes, and its result is returned. The
   * body counts towards the limits until then. It is read when it is the client's turn; until then
   * the data waits in the client's connection.
   */
  read<Value = never>(
    request: Request,
    client: string,
    take: Taker<Value> | null = null,
  ): Promise<string | Value> | string {
    const header = request.headers.get('content-length')
    // The server never reads more than Content-Length.
    const length = header === null ? null : Number(header)
    if (length !== null && length > this.limitBytes) throw this.#tooLarge()
    if (isGzip(request)) return this.#readGzip(request, length, client, take)
    if (length !== null && length <= LARGE_BYTES) return request.text()
    if (length !== null && length <= VERY_LARGE_BYTES)
      return this.#readLarge(request, length, client)
    const { body } = request
    if (body === null) return ''
    if (length === null) return this.#readChunks(request, body, client, take)
    const readRest = (arrived: Arrived) => this.#readRest(arrived, client, take)
    return this.#inTurn(client, request, () => this.#receive(body, client, readRest))
  }

  async #readLarge(request: Request, length: number, client: string): Promise<string> {
    this.#reserve(length, client)
    try {
      return rejectDense(await this.#withDeadline(request.text(), performance.now(), length))
    } finally {
      this.#release(length, client)
    }
  }

  /** Applies the limit both to the compressed body and to the decompressed one. */
  async #readGzip<Value>(
    request: Request,
    length: number | null,
    client: string,
    take: Taker<Value> | null,
  ): Promise<string | Value> {
    if (request.body !== null && (length === null || length > LARGE_BYTES)) {
      return this.#readChunks(request, gunzip(this.#limited(request.body)), client, take)
    }
    const bytes = await request.bytes()
    const small = gunzipSmall(bytes, this.limitBytes)
    return small
      ? new TextDecoder().decode(small)
      : this.#readChunks(request, gunzip(chunksOf(bytes)), client, take)
  }

  async *#limited(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0
    for await (const chunk of chunks) {
      bytes += chunk.byteLength
      if (bytes > this.limitBytes) throw this.#tooLarge()
      yield chunk
    }
  }

  /** Reads a body whose size is not known in advance. */
  #readChunks<Value>(
    request: Request,
    body: AsyncIterable<Uint8Array>,
    client: string,
    take: Taker<Value> | null,
  ): Promise<string | Value> {
    return this.#receive(body, client, async (arrived) => {
      if (await this.#readUpTo(arrived, client, VERY_LARGE_BYTES)) {
        const text = new TextDecoder().decode(Buffer.concat(arrived.chunks))
        return arrived.counted > 0 ? rejectDense(text) : text
      }
      return await this.#inTurn(client, request, () => this.#readRest(arrived, client, take))
    })
  }

  /** Reads the rest of a very large body, and passes it on or decodes it. */
  async #readRest<Value>(
    arrived: Arrived,
    client: string,
    take: Taker<Value> | null,
  ): Promise<string | Value> {
    // Waiting for a turn does not count against the rate.
    arrived.started = performance.now()
    await this.#readUpTo(arrived, client, Number.POSITIVE_INFINITY)
    const whole = Buffer.concat(arrived.chunks)
    return take === null ? rejectDense(new TextDecoder().decode(whole)) : await take(whole)
  }

  /** Counts a body as it arrives, and releases the count when `read` is done. */
  async #receive<Value>(
    body: AsyncIterable<Uint8Array>,
    client: string,
    read: (arrived: Arrived) => Promise<Value>,
  ): Promise<Value> {
    const arriving = body[Symbol.asyncIterator]()
    const arrived = { arriving, chunks: [], bytes: 0, counted: 0, started: performance.now() }
    try {
      return await read(arrived)
    } finally {
      this.#release(arrived.counted, client)
      // Stops the transfer if the body was given up, without waiting for more data.
      arriving.return?.()?.catch(() => {})
    }
  }

  /** Reads until the end, then returns true, or until it has more than `maxBytes`: false. */
  async #readUpTo(arrived: Arrived, client: string, maxBytes: number): Promise<boolean> {
    while (arrived.bytes <= maxBytes) {
      const next = arrived.arriving.next()
      const { done, value } = await this.#withDeadline(next, arrived.started, arrived.bytes)
      if (done) return true
      arrived.bytes += value.byteLength
      if (arrived.bytes > this.limitBytes) throw this.#tooLarge()
      if (arrived.bytes > LARGE_BYTES) {
        this.#reserve(arrived.bytes - arrived.counted, client)
        arrived.counted = arrived.bytes
      }
      arrived.chunks.push(value)
    }
    return false
  }

  /** Waits for data; throws problem 408 if `bytes` bytes have taken too long by then. */
  async #withDeadline<Value>(
    arriving: Promise<Value>,
    started: number,
    bytes: number,
  ): Promise<Value> {
    const { afterMs, bytesPerMs } = this.#slowest
    const left = started + afterMs + bytes / bytesPerMs - performance.now()
    return within(left, arriving, TOO_SLOW)
  }

  #reserve(bytes: number, client: string): void {
    const clientBytes = (this.#bytesByClient.get(client) ?? 0) + bytes
    if (clientBytes > LARGE_AT_ONCE.client * this.limitBytes) throw tooManyRequests()
    if (this.#largeBytes + bytes > LARGE_AT_ONCE.all * this.limitBytes) {
      throw unavailable('too many large bodies')
    }
    this.#largeBytes += bytes
    this.#bytesByClient.set(client, clientBytes)
  }

  #release(bytes: number, client: string): void {
    if (bytes === 0) return
    this.#largeBytes -= bytes
    const clientBytes = this.#bytesByClient.get(client)! - bytes
    if (clientBytes === 0) this.#bytesByClient.delete(client)
    else this.#bytesByClient.set(client, clientBytes)
  }

  #tooLarge(): Problem {
    return new Problem(
      413,
      'request body too large',
      `The body may have at most ${this.limitBytes} bytes.`,
    )
  }
}

const TOO_SLOW = () =>
  new Problem(408, 'request body too slow', 'Send large bodies at 64 kB per second or more.', {
    connection: 'close',
  })

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Returns the text of a large body. Throws problem 400 if it has too many values for its size. */
function rejectDense(text: string): string {
  if (isTooDense(text)) throw new Problem(400, TOO_DENSE.error, TOO_DENSE.detail)
  return text
}
