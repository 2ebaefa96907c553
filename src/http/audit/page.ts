import type { Sql, Transaction } from '../../db/pool.ts'
import type { StoredEvent } from '../../events/event.ts'
import { formatPositions, type Positions } from '../../events/positions.ts'
import { type ReadFilter, type ReadLimits, readEvents } from '../../log/read.ts'
import { DEFAULT_LIMIT, MAX_LIMIT } from '../params.ts'
import { Problem } from '../problem.ts'
import { isNewer, isOlder, mergeByTime } from './merge.ts'
import { type EventsRequest, positionsOf, shardsOf } from './request.ts'

/** Bytes of payload on a page: it is held in memory. */
const PAGE_BYTES = 16 * 1024 * 1024

/** A position behind all that may be there. */
const NO_END = Number.MAX_SAFE_INTEGER

/** A page; `next` is null where there is nothing more (for now). */
export type EventsPage = { events: StoredEvent[]; next: string | null }

/** A page of one shard, or of all merged by time; throws the problem 400 where there is none. */
export async function readPage(
  sql: Sql | Transaction,
  shards: number,
  request: EventsRequest,
): Promise<EventsPage> {
  const { shard = '0', after, ...filter } = request
  if (request.before !== undefined) throw orderedOtherwise('before', 'order=desc')
  const limit = limitOf(request)
  const numbers = shardsOf(request, shards)
  const positions = positionsOf(request, after, shards) ?? numbers.map(() => -1)
  if (shard === 'all') return readMerged(sql, positions, limit, filter)
  const limits = { rows: limit + 1, bytes: PAGE_BYTES }
  const read = await readEvents(sql, { shard: numbers[0]!, after: positions[0]! }, limits, filter)
  const events = read.slice(0, limit)
  const more = read.length > limit || !reachesEnd(read, limits)
  return { events, next: more ? String(events.at(-1)?.position) : null }
}

/**
 * The newest events before a position, the newest first: the order of `readPage` backwards. `next`
 * is the `before` of the page that follows.
 */
export async function readNewestPage(
  sql: Sql | Transaction,
  shards: number,
  request: EventsRequest,
): Promise<EventsPage> {
  const { shard = '0', before, ...filter } = request
  if (request.after !== undefined) throw orderedOtherwise('after', 'order=asc')
  const limit = limitOf(request)
  const numbers = shardsOf(request, shards)
  const ends = positionsOf(request, before, shards, NO_END) ?? numbers.map(() => NO_END)
  const limits = { rows: limit + 1, bytes: Math.ceil(PAGE_BYTES / numbers.length) }
  const read = await Promise.all(
    numbers.map((number, i) => {
      const range = { shard: number, after: -1, upTo: ends[i]! - 1, newestFirst: true }
      return readEvents(sql, range, limits, filter)
    }),
  )
  const isWhole = read.map((events) => reachesEnd(events, limits))
  const events = mergeByTime(read, isWhole, limit, isNewer)
  const more = !isWhole.every(Boolean) || read.flat().length > events.length
  if (!more || events.length === 0) return { events, next: null }
  const positions = numbers.map((number, i) => {
    const last = events.findLast((event) => event.shard === number)
    // Of a shard that has none here: behind the newest there was, so that none newer comes.
    return last?.position ?? (read[i]![0]?.position ?? -1) + 1
  })
  return { events, next: shard === 'all' ? formatPositions(positions) : String(positions[0]) }
}

function limitOf(request: EventsRequest): number {
  const limit = Number(request.limit ?? DEFAULT_LIMIT)
  if (limit <= MAX_LIMIT) return limit
  throw new Problem(400, 'invalid query', `A page has ${MAX_LIMIT} events at most.`)
}

const orderedOtherwise = (name: string, order: string) =>
  new Problem(400, 'invalid query', `${name} goes with ${order}.`)

/** True where a read ended because the log did, and not at one of its limits. */
function reachesEnd(read: StoredEvent[], limits: ReadLimits): boolean {
  const bytes = read.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
  return read.length < limits.rows && bytes < limits.bytes
}

async function readMerged(
  sql: Sql | Transaction,
  after: Positions,
  limit: number,
  filter: ReadFilter,
): Promise<EventsPage> {
  const positions = [...after]
  const limits = { rows: limit + 1, bytes: Math.ceil(PAGE_BYTES / positions.length) }
  const read = await Promise.all(
    positions.map((position, shard) => readEvents(sql, { shard, after: position }, limits, filter)),
  )
  const ends = read.map((events) => reachesEnd(events, limits))
  const events = mergeByTime(read, ends, limit, isOlder)
  for (const { shard, position } of events) positions[shard] = position
  const more = !ends.every(Boolean) || read.flat().length > events.length
  return { events, next: more && events.length > 0 ? formatPositions(positions) : null }
}
