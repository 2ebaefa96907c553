import { INTERVALS, type Intervals } from '../platform/intervals.ts'
import type { Caller } from './caller.ts'
import { Clients } from './clients.ts'
import { FairLimiter } from './fair-limiter.ts'
import { tooManyRequests } from './problem.ts'
import { networkOf } from './unknown-tokens.ts'

/** The shortest cooldown of a slot after a quick request, in milliseconds. */
const MIN_COOLDOWN_MS = 2
/** The cooldown after a refused request per KiB of its body, in milliseconds. */
const COOLDOWN_MS_PER_KIB = 1 / 16
/** The assumed length of a body without Content-Length, in bytes. */
const UNANNOUNCED_BYTES = 1024 * 1024

/** Milliseconds after a flush in which more flushes are expected. */
const FLUSH_WINDOW_MS = 2_000

/** A flush takes a slot for each of these bytes, as its work grows with them. */
const SLOT_BYTES = 4 * 1024
/** The bytes of a token's flushes that may wait or be in work, and what each counts besides. */
const MAX_FLUSH_BYTES = 16 * 1024 * 1024
const FLUSH_OVERHEAD_BYTES = 1024

/** The context of a read; `principal` is null without a token, or if none was checked. */
export type RequestContext = AnonymousContext & { principal: Caller | null }
/** The context of a change of the catalog, and of an act. */
export type ChangeContext = { principal: Caller; request: Request }
/** The context of a request whose caller is not known. */
export type AnonymousContext = {
  request: Request
  server: { requestIP(request: Request): { address: string } | null } | null
}

type Work<Value> = () => Value | Promise<Value>

/**
 * Limits the requests that are worked on at once: each takes a slot. Health checks take none, and
 * flushes only while several tokens post some, or if they are very large. A request holds its slot
 * from when it begins to work until it is done.
 */
export class Admission {
  /**
   * Reads of the database, by token or network. Two of the eight read connections remain for the
   * service's own reads.
   */
  readonly #reads: FairLimiter
  /**
   * Very large bodies that are received and passed on. The limit per token keeps a client that
   * sends many at once from taking all the time of this thread and of the worker.
   */
  readonly #bodies: FairLimiter
  /** Flushes while several tokens post some, until they are appended. */
  readonly #flushes: FairLimiter
  /** Changes of the catalog, each of which delays all flushes for a moment. */
  readonly #changes: FairLimiter
  /** Opening balances and corrections, which wait for projections while they have a slot. */
  readonly #acts: FairLimiter
  /** Adoptions that take much of the log, or read it: one at a time, apart from other acts. */
  readonly #largeAdoptions: FairLimiter
  /**
   * Requests that take a millisecond and need no token, and refusals, by network: some 1,500 per
   * second from each network, which take a tenth of the thread.
   */
  readonly #quick: FairLimiter
  /** Pages that streams read: on half of the connections, so that the rest serve other reads. */
  readonly #pages: FairLimiter

  #flushedAt = Number.NEGATIVE_INFINITY
  /** The token of the last flush, and when a flush last had another token than the one before. */
  #flusher: string | null = null
  #flushersChangedAt = Number.NEGATIVE_INFINITY
  /** By token; a token with 0 has no entry. */
  readonly #flushBytes = new Map<string, number>()

  constructor(
    private readonly clients = new Clients(),
    { waitMs }: Intervals['admission'] = INTERVALS.admission,
  ) {
    const needsCooldown = () => performance.now() - this.#flushedAt < FLUSH_WINDOW_MS
    const cooling = { minCooldownMs: 1, waitMs, needsCooldown }
    this.#reads = new FairLimiter({ perCaller: 4, total: 6, ...cooling })
    this.#acts = new FairLimiter({ perCaller: 2, total: 2, ...cooling })
    this.#largeAdoptions = new FairLimiter({ perCaller: 1, total: 1, ...cooling })
    this.#changes = new FairLimiter({ perCaller: 2, total: 2, ...cooling })
    this.#bodies = new FairLimiter({ perCaller: 2, total: 16, ...cooling })
    const pages = { ...cooling, minCooldownMs: 0, waitMs: null }
    this.#pages = new FairLimiter({ perCaller: 4, total: 4, ...pages })
    const flushes = { minCooldownMs: 0, waitMs, needsCooldown: () => false }
    this.#flushes = new FairLimiter({ perCaller: 16, total: 1_024, ...flushes })
    // These cool down whether or not flushes arrive.
    const always = { minCooldownMs: MIN_COOLDOWN_MS, waitMs, needsCooldown: () => true }
    this.#quick = new FairLimiter({ perCaller: 4, total: 16, ...always })
  }

  /** Must be called after an append: for a while, slots then cool down in favor of flushes. */
  noticeFlushes(): void {
    this.#flushedAt = performance.now()
  }

  /**
   * Parses and appends a flush of a token whose body has this many bytes: at once if no other token
   * has flushed for a while. Otherwise each token has so few in progress that the flushes of others
   * hardly wait for them. Throws problem 429 if too many bytes of the token wait.
   */
  admitFlush<Value>(
    token: string,
    request: Request,
    bytes: number,
    append: Work<Value>,
  ): Value | Promise<Value> {
    const now = performance.now()
    if (token !== this.#flusher) {
      if (this.#flusher !== null) this.#flushersChangedAt = now
      this.#flusher = token
    }
    if (now - this.#flushersChangedAt > FLUSH_WINDOW_MS) return append()
    return this.#takeTurn(token, request, bytes, append)
  }

  async #takeTurn<Value>(
    token: string,
    request: Request,
    bytes: number,
    append: Work<Value>,
  ): Promise<Value> {
    const counted = bytes + FLUSH_OVERHEAD_BYTES
    const before = this.#flushBytes.get(token) ?? 0
    if (before + counted > MAX_FLUSH_BYTES) throw tooManyRequests()
    this.#flushBytes.set(token, before + counted)
    try {
      return await this.#flushes.run(token, append, {
        request,
        slots: Math.max(1, Math.ceil(bytes / SLOT_BYTES)),
      })
    } finally {
      const left = this.#flushBytes.get(token)! - counted
      if (left === 0) this.#flushBytes.delete(token)
      else this.#flushBytes.set(token, left)
    }
  }

  /** Runs a read. */
  admitRead<Value>(context: RequestContext, read: Work<Value>): Promise<Value> {
    const { principal, request } = context
    // No token name starts with a colon.
    const name = principal?.name ?? `:${this.#networkOf(context)}`
    return this.#reads.run(name, read, { request })
  }

  /** Receives and processes a very large body of a client. */
  admitBody<Value>(client: string, request: Request, receive: Work<Value>): Promise<Value> {
    return this.#bodies.run(client, receive, { request })
  }

  /** Runs a change of the catalog. */
  admitChange<Value>({ principal, request }: ChangeContext, change: Work<Value>): Promise<Value> {
    return this.#changes.run(principal.name, change, { request })
  }

  /** Records opening balances or a correction. */
  admitAct<Value>({ principal, request }: ChangeContext, record: Work<Value>): Promise<Value> {
    return this.#acts.run(principal.name, record, { request })
  }

  /** Records an adoption that takes long. */
  admitLargeAdoption<Value>(
    { principal, request }: ChangeContext,
    record: Work<Value>,
  ): Promise<Value> {
    return this.#largeAdoptions.run(principal.name, record, { request })
  }

  /** Runs work that takes a millisecond, for any client. */
  admitQuick<Value>(context: AnonymousContext, work: Work<Value>): Promise<Value> {
    return this.#quick.run(this.#networkOf(context), work, { request: context.request })
  }

  /**
   * Refuses a request of any client, at the rate of `admitQuick`. Requests with bodies are refused
   * at 64 MiB per second per network, because their bodies are received all the same.
   */
  admitRefusal<Value>(context: AnonymousContext, refuse: Work<Value>): Promise<Value> {
    const { request } = context
    const { headers } = request
    const isChunked = headers.has('transfer-encoding')
    const bytes = isChunked ? UNANNOUNCED_BYTES : Number(headers.get('content-length') ?? 0)
    const cooldownMs = MIN_COOLDOWN_MS + (bytes / 1024) * COOLDOWN_MS_PER_KIB
    return this.#quick.run(this.#networkOf(context), refuse, { request, cooldownMs })
  }

  /** Reads a page of a stream, which waits for a slot without a time limit. */
  admitPage<Value>({ name }: Caller, read: Work<Value>): Promise<Value> {
    return this.#pages.run(name, read)
  }

  #networkOf(context: AnonymousContext): string {
    return networkOf(this.clients.addressOf(context))
  }
}
