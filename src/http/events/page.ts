import type { StoredEvent } from '../../events/event.ts'
import { isNewer, isOlder, mergeByTime } from '../../events/merge-by-time.ts'
import { formatPositions, type Positions } from '../../events/positions.ts'
import type { ReadFilter } from '../../log/filter.ts'
import { type EventsRead, readEvents } from '../../log/read.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { DEFAULT_LIMIT, MAX_LIMIT } from '../params.ts'
import { Problem } from '../problem.ts'
import { type EventsRequest, positionsOf, shardsOf } from './request.ts'

/** Bytes of payload on a page, which is held in memory and formatted at once. */
const PAGE_BYTES = 4 * 1024 * 1024

/** A position after every possible event. */
const NO_END = Number.MAX_SAFE_INTEGER

/** A page of events; `next` is null if there is nothing more for now. */
export type EventsPage = { events: StoredEvent[]; next: string | null }

/** Reads a page of one shard, or of all shards merged by time. Throws problem 400. */
export async function readPage(
  sql: Sql | Transaction,
  shards: number,
  request: EventsRequest,
): Promise<EventsPage> {
  const { shard = '0', after, ...filter } = request
  if (request.before !== undefined) throw wrongOrder('before', 'order=desc')
  const limit = limitOf(request)
  const numbers = shardsOf(request, shards)
  const positions = positionsOf(request, after, shards) ?? numbers.map(() => -1)
  if (shard === 'all') return readMerged(sql, positions, limit, filter)
  const limits = { rows: limit + 1, bytes: PAGE_BYTES }
  const read = await readEvents(sql, { shard: numbers[0]!, after: positions[0]! }, limits, filter)
  const events = read.events.slice(0, limit)
  if (read.events.length > limit) return { events, next: String(events.at(-1)!.position) }
  return { events, next: read.ends ? null : String(read.readThrough) }
}

/**
 * Reads the newest events before a position, newest first: the reverse order of `readPage`. `next`
 * is the `before` of the following page.
 */
export async function readNewestPage(
  sql: Sql | Transaction,
  shards: number,
  request: EventsRequest,
): Promise<EventsPage> {
  const { shard = '0', before, ...filter } = request
  if (request.after !== undefined) throw wrongOrder('after', 'order=asc')
  const limit = limitOf(request)
  const numbers = shardsOf(request, shards)
  const ends = positionsOf(request, before, shards, NO_END) ?? numbers.map(() => NO_END)
  const limits = { rows: limit + 1, bytes: Math.ceil(PAGE_BYTES / numbers.length) }
  const read = await Promise.all(
    numbers.map((number, i) => {
      const range = { shard: number, after: -1, through: ends[i]! - 1, newestFirst: true }
      return readEvents(sql, range, limits, filter)
    }),
  )
  const { events, isDone, positions } = merge(read, limit, isNewer)
  if (isDone) return { events, next: null }
  // A shard without an event on this page resumes right after the newest event that was read, so
  // that later pages show no event appended since.
  const befores = positions.map(
    (position, i) => position ?? (read[i]!.events[0]?.position ?? -1) + 1,
  )
  return { events, next: shard === 'all' ? formatPositions(befores) : String(befores[0]) }
}

/**
 * Merges the reads of several shards. `positions` is the last position taken of each shard,
 * undefined if nothing was taken. `isDone` is true if nothing is left.
 */
function merge(
  read: readonly EventsRead[],
  limit: number,
  comesBefore: (a: StoredEvent, b: StoredEvent) => boolean,
) {
  const events = mergeByTime(
    read.map(({ events: items, ends }) => ({ items, ends })),
    limit,
    comesBefore,
  )
  let isDone = true
  const positions = read.map(({ events: own, ends, readThrough }) => {
    const taken = own.length === 0 ? [] : events.filter(({ shard }) => shard === own[0]!.shard)
    if (taken.length < own.length || !ends) isDone = false
    return taken.length === own.length && !ends ? readThrough : taken.at(-1)?.position
  })
  return { events, isDone, positions }
}

function limitOf(request: EventsRequest): number {
  const limit = Number(request.limit ?? DEFAULT_LIMIT)
  if (limit <= MAX_LIMIT) return limit
  throw new Problem(400, 'invalid query', `\`limit\` must be at most ${MAX_LIMIT} for a page.`)
}

const wrongOrder = (name: string, order: string) =>
  new Problem(400, 'invalid query', `\`${name}\` requires \`${order}\`.`)

async function readMerged(
  sql: Sql | Transaction,
  after: Positions,
  limit: number,
  filter: ReadFilter,
): Promise<EventsPage> {
  const limits = { rows: limit + 1, bytes: Math.ceil(PAGE_BYTES / after.length) }
  const read = await Promise.all(
    after.map((position, shard) => readEvents(sql, { shard, after: position }, limits, filter)),
  )
  const { events, isDone, positions } = merge(read, limit, isOlder)
  if (isDone) return { events, next: null }
  return { events, next: formatPositions(positions.map((taken, i) => taken ?? after[i]!)) }
}
