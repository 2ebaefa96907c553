import type { Logger } from 'pino'
import { readHead } from '../log/read.ts'
import { Poll } from '../platform/async/poll.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import { positionsOf, SEGMENT_BYTES } from '../platform/postgres/first-segments.ts'
import { connectAsOwner, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'

/** The newest events of a shard, by which the size of the next ones is estimated. */
const SAMPLE = 1_000

/**
 * What a row and its entries in the indexes take besides the payload (bytes): 100 for the row, 20
 * for the place, and 130 for an idempotency key of usual length.
 */
const ROW_BYTES = 250

type SegmentsOptions = {
  /** Segments are created as the owner, on a connection that is opened for it. */
  address: ServerAddress
  sql: Sql
  /** The size of a segment with its indexes; default SEGMENT_BYTES. */
  segmentBytes?: number | undefined
}

type PollOptions = {
  shards: number
  /** True for the shards that this instance looks after. */
  owns: (shard: number) => boolean
  logger: Logger
  pollIntervalMs: number
}

/** The positions of a segment, from `first` to `end`, exclusive. */
type Segment = { first: number; end: number }

/**
 * Creates the segments of the log. Several instances may do so at once, and a call does what one
 * that was killed has left. Does nothing on Citus, where the log is one table.
 */
export class Segments {
  constructor(private readonly options: SegmentsOptions) {}

  /**
   * Creates segments ahead of time, now and at intervals, so that each shard that this instance
   * owns has an empty one behind its newest event.
   */
  start(options: PollOptions): Poll {
    return new Poll(() => this.#extendAll(options), options.pollIntervalMs).start(0)
  }

  /** Creates what a shard lacks to take `events` more, and an empty segment behind them. */
  extend = async (shard: number, events: number): Promise<void> => {
    const newest = await this.#readNewest(shard)
    if (newest === null) return
    const head = await readHead(this.options.sql, shard)
    const isEnough = ({ first, end }: Segment) => head < first && head + events < end
    if (isEnough(newest)) return
    await this.#create(shard, newest, isEnough, await this.#readEventBytes(shard, head))
  }

  /** Creates what a shard lacks up to a position, without reading the log. */
  reserve = async (shard: number, through: number): Promise<void> => {
    const newest = await this.#readNewest(shard)
    if (newest === null || through < newest.end) return
    await this.#create(shard, newest, ({ end }) => through < end)
  }

  async #extendAll({ shards, owns, logger }: PollOptions): Promise<void> {
    for (let shard = 0; shard < shards; shard++) {
      if (!owns(shard)) continue
      try {
        await this.extend(shard, 0)
      } catch (error) {
        if (!isUnavailable(error)) {
          logger.error({ err: error, shard }, 'log: failed to create the next segment')
        }
      }
    }
  }

  async #readNewest(shard: number): Promise<Segment | null> {
    const [row] = await this.options.sql<{ first: string; end: string }[]>`
      select g.first_position as first, g.end_position as end
      from segments g
      where g.shard = ${shard}
      order by g.first_position desc
      limit 1`
    return row === undefined ? null : { first: Number(row.first), end: Number(row.end) }
  }

  async #create(
    shard: number,
    newest: Segment,
    isEnough: (newest: Segment) => boolean,
    eventBytes?: number,
  ): Promise<void> {
    const { address, segmentBytes = SEGMENT_BYTES } = this.options
    const positions = positionsOf(segmentBytes, eventBytes)
    const owner = connectAsOwner(address)
    try {
      for (let last = newest; !isEnough(last); ) {
        const [row] = await owner<{ end: string }[]>`
          select create_segment(${shard}, ${last.end}, ${positions}) as end`
        last = { first: last.end, end: Number(row!.end) }
      }
    } finally {
      await owner.end({ timeout: 1 })
    }
  }

  /** Returns what one of the newest events takes on average, with its entries in indexes. */
  async #readEventBytes(shard: number, head: number): Promise<number | undefined> {
    // The size of a stored payload is known without fetching it.
    const [row] = await this.options.sql<{ bytes: number | null }[]>`
      select avg(pg_column_size(e.payload))::float8 as bytes
      from events e
      where e.shard = ${shard} and e.position > ${head - SAMPLE}`
    return row!.bytes === null ? undefined : row!.bytes + ROW_BYTES
  }
}
