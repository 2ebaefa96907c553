import type { Logger } from 'pino'
import type { Tokens } from '../../auth/tokens.ts'
import { Poll } from '../../platform/async/poll.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Exhausted } from '../../quota/exhausted.ts'
import type { ExhaustedList } from '../../quota/exhausted-list.ts'
import type { Caller } from '../caller.ts'
import { toJson } from '../json.ts'
import { type StreamCount, Streams, type StreamsOptions } from '../streams.ts'
import { ExhaustedSource } from './source.ts'

/**
 * Streams that are updated in one turn of the event loop, so that requests are served between two
 * batches.
 */
const BATCH = 100

/**
 * Changes that are kept for streams whose clients are slow: about 20 MB. A stream that is further
 * behind ends, and its client gets the whole list again.
 */
const MAX_CHANGES = 100_000

export type ExhaustedStreamsOptions = {
  /** Creates a list that was not read yet. */
  createList: () => ExhaustedList
  tokens: Tokens
  findOpenSessions: StreamsOptions['findOpenSessions']
  intervals: Intervals['streams']
  logger: Logger
  maxSubscribers: number
  count: StreamCount
}

/**
 * Streams of the keys that have used their quota: the whole list, then its changes. One poll reads
 * the list for all of them, and none while there are none.
 */
export class ExhaustedStreams {
  readonly #streams: Streams
  readonly #sources = new Set<ExhaustedSource>()
  #poll: Poll | null = null
  /** The list as it was published, one event per key; null before the first time. */
  #published: Map<string, PublishedKey> | null = null
  /** The events of `#published`, made when a stream begins; null if it has changed since. */
  #events: readonly string[] | null = null
  #changes: string[] = []
  /** The number of changes that were dropped before the first of `#changes`. */
  #dropped = 0

  constructor(private readonly options: ExhaustedStreamsOptions) {
    this.#streams = new Streams({
      tokens: options.tokens,
      findOpenSessions: options.findOpenSessions,
      intervals: options.intervals,
      maxStreams: options.maxSubscribers,
      count: options.count,
      // The client reconnects.
      endedEarly: 'closed',
      onKeepAlive: () => void this.#forEach((source) => source.keepAlive()),
      onFailure: (error, requestId) => {
        if (isUnavailable(error)) return
        options.logger.error({ err: error, request_id: requestId }, 'quota: stream failed')
      },
    })
  }

  /** Opens a stream for a caller. Throws problem 503 if too many streams are open. */
  open(principal: Caller, requestId?: string): ReadableStream<Uint8Array> {
    const source: ExhaustedSource = new ExhaustedSource({
      changeAt: (number) => this.#changeAt(number),
      onEnd: () => this.#remove(source),
    })
    const stream = this.#streams.open(principal, source, requestId)
    this.#sources.add(source)
    if (this.#poll === null) this.#startPolling()
    else if (this.#published !== null) this.#begin(source)
    return stream
  }

  /** Ends all streams and refuses new ones. */
  stop(): void {
    this.#streams.stop()
  }

  #startPolling(): void {
    const { createList, intervals, logger } = this.options
    const list = createList()
    const poll = new Poll(async () => {
      try {
        const isRead = await list.refresh()
        if (isRead && !poll.isStopped) this.#publish(list.keys)
      } catch (error) {
        if (isUnavailable(error)) return
        logger.error({ err: error }, 'quota: could not read the exhausted keys')
      }
    }, intervals.pollIntervalMs)
    this.#poll = poll.start(0)
  }

  #publish(keys: ReadonlyMap<string, Exhausted>): void {
    const before = this.#published
    const after = new Map<string, PublishedKey>()
    const changes: string[] = []
    for (const [hash, key] of keys) {
      const old = before?.get(hash)
      const isSame = old !== undefined && isSameKey(old.key, key)
      const next = isSame ? old : { key, event: exhaustedEvent(key) }
      after.set(hash, next)
      if (!isSame) changes.push(next.event)
    }
    for (const hash of before?.keys() ?? [])
      if (!after.has(hash)) changes.push(availableEvent(hash))
    if (before !== null && changes.length === 0) return
    this.#published = after
    this.#events = null
    if (before === null) return void this.#forEach((source) => this.#begin(source))
    this.#changes.push(...changes)
    const excess = this.#changes.length - MAX_CHANGES
    if (excess > 0) this.#dropped += this.#changes.splice(0, excess).length
    void this.#forEach((source) => source.wake())
  }

  /** Starts a stream with the published list; it continues with the changes that follow. */
  #begin(source: ExhaustedSource): void {
    this.#events ??= [...(this.#published?.values() ?? [])].map(({ event }) => event)
    source.begin(this.#events, this.#dropped + this.#changes.length)
  }

  /** Returns a change by its number, null if there is none yet, or undefined if it was dropped. */
  #changeAt(number: number): string | null | undefined {
    if (number < this.#dropped) return undefined
    return this.#changes[number - this.#dropped] ?? null
  }

  async #forEach(act: (source: ExhaustedSource) => void): Promise<void> {
    let count = 0
    for (const source of [...this.#sources]) {
      act(source)
      if (++count % BATCH === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #remove(source: ExhaustedSource): void {
    this.#sources.delete(source)
    if (this.#sources.size > 0) return
    void this.#poll?.stop()
    this.#poll = null
    this.#published = null
    this.#events = null
    this.#changes = []
    this.#dropped = 0
  }
}

/** A key in the list, and the event that told of it. */
type PublishedKey = { key: Exhausted; event: string }

/** True if there is nothing to tell: of a key that stays exhausted, more usage is no news. */
const isSameKey = (a: Exhausted, b: Exhausted) =>
  a.quota_limit === b.quota_limit && a.resets_at === b.resets_at

const exhaustedEvent = (key: Exhausted) => `event: exhausted\ndata: ${toJson(key)}\n\n`

const availableEvent = (token_hash: string) =>
  `event: available\ndata: ${JSON.stringify({ token_hash })}\n\n`
