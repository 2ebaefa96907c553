import { type Positions, parsePositions } from '../../events/positions.ts'
import type { ReadFilter } from '../../log/filter.ts'
import { toMoment } from '../params.ts'
import { Problem } from '../problem.ts'

export type EventsRequest = ReadFilter & {
  shard?: string
  after?: string
  before?: string
  order?: 'asc' | 'desc'
  limit?: string
}

/** Returns the shards that a request names. Throws problem 400 if one does not exist. */
export function shardsOf({ shard = '0' }: EventsRequest, shards: number): number[] {
  if (shard === 'all') return Array.from({ length: shards }, (_, number) => number)
  if (Number(shard) >= shards) throw invalid('`shard` is not a shard of this log.')
  return [Number(shard)]
}

/**
 * Returns the position in each of the request's shards that `given` names, or null if it is
 * undefined. `given` has the form `0/41,1/7`, or `41` for a single shard; a shard that is left out
 * gets the position `missing`. Throws problem 400.
 */
export function positionsOf(
  { shard = '0' }: EventsRequest,
  given: string | undefined,
  shards: number,
  missing = -1,
): Positions | null {
  if (given === undefined) return null
  if (shard !== 'all' && /^(?:-1|\d{1,15})$/.test(given)) return [Number(given)]
  const positions = parsePositions(given, shards)
  if (positions === null) {
    throw invalid('A position must have the form `0/41,1/7`, with existing shards, each once.')
  }
  if (shard === 'all') return positions.map((position) => position ?? missing)
  const position = positions[Number(shard)]
  if (position === undefined) throw invalid(`The position does not name shard ${shard}.`)
  return [position]
}

/** Converts `from` and `to` to UTC, if given. Throws problem 400 for a time that does not exist. */
export function readTimes({ from, to }: ReadFilter): ReadFilter {
  const moments: ReadFilter = {}
  for (const [name, timestamp] of Object.entries({ from, to })) {
    if (timestamp === undefined) continue
    const moment = toMoment(timestamp)
    if (moment === null) throw invalid(`\`${name}\` is not a valid RFC 3339 timestamp.`)
    moments[name as 'from' | 'to'] = moment
  }
  return moments
}

const invalid = (detail: string) => new Problem(400, 'invalid query', detail)
