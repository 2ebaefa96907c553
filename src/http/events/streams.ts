import type { Logger } from 'pino'
import { findOpenSessions } from '../../auth/sessions.ts'
import type { Tokens } from '../../auth/tokens.ts'
import type { ReadRequirement } from '../../cluster/replicas/progress.ts'
import type { Reads } from '../../cluster/replicas/reads.ts'
import type { Positions } from '../../events/positions.ts'
import { type ReadFilter, toTest } from '../../log/filter.ts'
import { narrow, type ReadRange, readHeads, readIdentity, selectEvents } from '../../log/read.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable } from '../../platform/postgres/errors.ts'
import type { Pools, Sql } from '../../platform/postgres/pool.ts'
import type { ReadPage } from '../../subscriptions/shard-cursor.ts'
import { TailBuffers } from '../../subscriptions/tail-buffers.ts'
import type { Admission } from '../admission.ts'
import type { Caller } from '../caller.ts'
import { Problem } from '../problem.ts'
import { type StreamCount, Streams } from '../streams.ts'
import { RangeSource } from './range.ts'
import { type EventsRequest, positionsOf, shardsOf } from './request.ts'
import { type HeldPages, SubscriptionSource } from './subscription.ts'

/** Ranges that may be streamed at once. Each holds a page of about 1 MiB; they read in turns. */
const MAX_RANGES = 64

export type EventStreamsOptions = {
  pools: Pools
  reads: Reads
  shards: number
  admission: Admission
  tokens: Tokens
  intervals: Intervals['streams']
  logger: Logger
  /** The maximum number of live streams. */
  maxSubscribers: number
  /** The number of open live streams, of which there are other kinds. */
  count?: StreamCount
}

/** The open streams of the log, ranges and live ones, and the state that they share. */
export class EventStreams {
  readonly #tails: TailBuffers
  readonly #held: HeldPages = { bytes: 0 }
  readonly #ranges: Streams
  readonly #subscribers: Streams
  /** The primary: tails are read from it, never from a replica, so that no event is late. */
  readonly #sql: Sql

  constructor(private readonly options: EventStreamsOptions) {
    const { pools, shards, tokens, maxSubscribers, intervals, logger, count } = options
    this.#sql = pools.read
    this.#tails = new TailBuffers({
      shards,
      readHeads: () => readHeads(pools.control),
      read: (range, limits) => selectEvents(this.#sql, range, limits),
      identify: (shard, position) => readIdentity(this.#sql, shard, position),
      pollIntervalMs: intervals.pollIntervalMs,
      logger,
    })
    const onFailure = (error: unknown, requestId?: string) => {
      if (isUnavailable(error)) return
      logger.error({ err: error, request_id: requestId }, 'events: stream failed')
    }
    const common = {
      ...{ tokens, intervals, onFailure },
      findOpenSessions: (ids: string[]) => findOpenSessions(pools.control, ids),
    }
    this.#ranges = new Streams({ ...common, maxStreams: MAX_RANGES, endedEarly: 'broken off' })
    this.#subscribers = new Streams({
      ...common,
      maxStreams: maxSubscribers,
      ...(count && { count }),
      // The client reconnects and resumes.
      endedEarly: 'closed',
      onKeepAlive: () => this.#tails.keepAlive(),
    })
  }

  /** Opens a stream of a range up to the current heads, one event per line. Throws a problem. */
  async openRange(
    principal: Caller,
    request: EventsRequest,
    requestId: string,
  ): Promise<ReadableStream> {
    this.#ranges.checkRoom()
    const shards = shardsOf(request, this.options.shards)
    const start = positionsOf(request, request.after, this.options.shards)
    const heads = await this.#tails.heads.read()
    const ranges = await Promise.all(
      shards.map((shard, i) =>
        narrow(this.#sql, { shard, after: start?.[i] ?? -1, through: heads[shard]! }, request),
      ),
    )
    const source = new RangeSource({
      shards,
      after: ranges.map(({ after }) => after),
      through: ranges.map(({ through }) => through),
      limit: limitOf(request),
      read: this.#pageReader(principal, request),
    })
    return this.#ranges.open(principal, source, requestId)
  }

  /**
   * Opens a live stream of server-sent events. It starts after `lastEventId`, else after `after`,
   * else at `from`, else with the next event. Throws a problem.
   */
  async openSubscription(
    principal: Caller,
    request: EventsRequest,
    lastEventId: string | undefined,
    requestId: string,
  ): Promise<ReadableStream> {
    this.#subscribers.checkRoom()
    const shards = shardsOf(request, this.options.shards)
    const after = lastEventId || request.after
    const given = positionsOf(request, after, this.options.shards)
    if (given !== null) await this.#refuseAhead(shards, given)
    const source = new SubscriptionSource({
      tails: this.#tails,
      held: this.#held,
      shard: request.shard === 'all' ? null : shards[0]!,
      after: given ?? (await this.#startOf(shards, request)),
      matches: await toTest(this.#sql, request),
      read: this.#pageReader(principal, request),
      limit: limitOf(request),
      retryAfterMs: this.options.intervals.retryAfterMs,
    })
    try {
      return this.#subscribers.open(principal, source, requestId)
    } catch (error) {
      source.end()
      throw error
    }
  }

  /** Must be called after this process appends to a shard; `position` is its last event's. */
  noticeAppend(shard: number, position: number): void {
    this.#tails.noticeAppend(shard, position)
  }

  /** Ends all streams at once and refuses new ones. */
  stop(): void {
    this.#ranges.stop()
    this.#subscribers.stop()
  }

  /** Throws problem 400 for a position beyond the end of the log, if the heads can be read. */
  async #refuseAhead(shards: number[], given: Positions): Promise<void> {
    const heads = await this.#tails.heads.read().catch((error: unknown) => {
      // The tails check the position when the database is available again.
      if (isUnavailable(error)) return null
      throw error
    })
    if (heads === null) return
    const ahead = shards.filter((shard, i) => given[i]! > heads[shard]!)
    if (ahead.length === 0) return
    const ends = ahead.map((shard) => `${shard}/${heads[shard]}`).join(',')
    const detail = `The position is beyond the end of the log, which is at ${ends}.`
    throw new Problem(400, 'invalid query', detail)
  }

  async #startOf(shards: number[], { from }: ReadFilter): Promise<Positions> {
    if (from === undefined) {
      const heads = await this.#tails.heads.read()
      return shards.map((shard) => heads[shard]!)
    }
    const ranges = await Promise.all(
      shards.map((shard) => narrow(this.#sql, { shard, after: -1 }, { from })),
    )
    return ranges.map(({ after }) => after)
  }

  #pageReader(principal: Caller, filter: ReadFilter): ReadPage {
    return (range, limits) =>
      this.options.admission.admitPage(principal, () =>
        this.options.reads.read(requirementOf(range), (sql) =>
          selectEvents(sql, range, limits, filter),
        ),
      )
  }
}

/** Returns the requirement that the server has all events of a range. */
const requirementOf = ({
  shard,
  through,
}: Required<Pick<ReadRange, 'shard' | 'through'>>): ReadRequirement => ({
  kind: 'events',
  positions: Array.from({ length: shard + 1 }, (_, i) => (i === shard ? through : -1)),
})

const limitOf = ({ limit }: EventsRequest) =>
  limit === undefined ? Number.POSITIVE_INFINITY : Number(limit)
