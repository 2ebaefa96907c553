import { INTERVALS, type Intervals } from '../platform/intervals.ts'
import type { Caller } from './auth.ts'
import { Shares } from './shares.ts'
import { networkOf } from './unknown-tokens.ts'

/** Milliseconds that a place of what takes a millisecond is kept free, at least. */
const MIN_COOLDOWN_MS = 2
/** The same for each KiB of a body that comes with what is refused. */
const COOLDOWN_MS_PER_KIB = 1 / 16
/** Bytes that are taken for the length of a body that doesn't announce it. */
const UNANNOUNCED_BYTES = 1024 * 1024

/** Milliseconds after a flush in which others are expected. */
const FLUSH_WINDOW_MS = 2_000

/** Who asks, as a handler finds them; null: without a token, or without one that was looked at. */
export type RequestContext = AnonymousContext & { principal: Caller | null }
/** Who asks for a change. */
export type ChangeContext = { principal: Caller; request: Request }
/** Who asks, whoever it is. */
export type AnonymousContext = {
  request: Request
  server: { requestIP(request: Request): { address: string } | null } | null
}

type Work<Value> = () => Value | Promise<Value>

/**
 * How much is worked on at once. Flushes take no place, but for very large ones, nor does health:
 * they come before all else, and nothing of them waits here. Places are taken for work, never while
 * something is waited for, but for the rest of a very large body.
 */
export class Places {
  /**
   * Reads of the database, by who asks. Two of the eight connections for reads are left to what the
   * service reads for itself.
   */
  readonly #reads: Shares
  /**
   * Very large bodies, which are received and handed on: a few of each token, so that who sends
   * many at once takes a part of the thread and of the worker only.
   */
  readonly #bodies: Shares
  /** Changes of the catalog, each of which holds up the flushes of all for a moment. */
  readonly #changes: Shares
  /**
   * Requests that take a millisecond and no token, and refusals, by network: some 1,500 a second of
   * each network, which take a tenth of the thread.
   */
  readonly #quick: Shares
  /** Pages that streams read: half of the connections, so that other reads find one. */
  readonly #pages: Shares

  #flushedAt = Number.NEGATIVE_INFINITY

  constructor({ waitMs }: Intervals['places'] = INTERVALS.places) {
    const needsCooldown = () => performance.now() - this.#flushedAt < FLUSH_WINDOW_MS
    this.#reads = new Shares({ each: 4, all: 6, minCooldownMs: 1, waitMs, needsCooldown })
    this.#changes = new Shares({ each: 2, all: 2, minCooldownMs: 1, waitMs, needsCooldown })
    this.#bodies = new Shares({ each: 2, all: 16, minCooldownMs: 1, waitMs, needsCooldown })
    this.#pages = new Shares({ each: 4, all: 4, minCooldownMs: 0, waitMs: null, needsCooldown })
    // These are paced whether or not flushes arrive.
    const always = { minCooldownMs: MIN_COOLDOWN_MS, waitMs, needsCooldown: () => true }
    this.#quick = new Shares({ each: 4, all: 16, ...always })
  }

  /** Flushes have been appended: what comes next leaves time to others like them. */
  noticeFlushes(): void {
    this.#flushedAt = performance.now()
  }

  /** Reads for who asks. */
  take<Value>(context: RequestContext, read: Work<Value>): Promise<Value> {
    const { principal, request } = context
    // No token's name has a colon first.
    const name = principal?.name ?? `:${clientNetwork(context)}`
    return this.#reads.take(name, read, { request })
  }

  /** Receives a very large body of a client, and what is done with it. */
  takeBody<Value>(client: string, request: Request, receive: Work<Value>): Promise<Value> {
    return this.#bodies.take(client, receive, { request })
  }

  /** Changes the catalog. */
  takeChange<Value>({ principal, request }: ChangeContext, change: Work<Value>): Promise<Value> {
    return this.#changes.take(principal.name, change, { request })
  }

  /** Answers whoever it is what takes a millisecond. */
  takeQuick<Value>(context: AnonymousContext, work: Work<Value>): Promise<Value> {
    return this.#quick.take(clientNetwork(context), work, { request: context.request })
  }

  /**
   * Refuses whoever it is, at the rate of `takeQuick`; where bodies come with what is refused, at
   * 64 MiB a second: they are received all the same.
   */
  takeRefusal<Value>(context: AnonymousContext, refuse: Work<Value>): Promise<Value> {
    const { request } = context
    const { headers } = request
    const isChunked = headers.has('transfer-encoding')
    const bytes = isChunked ? UNANNOUNCED_BYTES : Number(headers.get('content-length') ?? 0)
    const cooldownMs = MIN_COOLDOWN_MS + (bytes / 1024) * COOLDOWN_MS_PER_KIB
    return this.#quick.take(clientNetwork(context), refuse, { request, cooldownMs })
  }

  /** Reads a page of a stream, which waits for it as long as it takes. */
  takePage<Value>({ name }: Caller, read: Work<Value>): Promise<Value> {
    return this.#pages.take(name, read)
  }
}

const clientNetwork = ({ request, server }: AnonymousContext) =>
  networkOf(server?.requestIP(request)?.address ?? '')
