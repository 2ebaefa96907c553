import { type Positions, parsePositions } from '../../events/positions.ts'
import type { ReadFilter } from '../../log/read.ts'
import { toMoment } from '../params.ts'
import { Problem } from '../problem.ts'

export type EventsRequest = ReadFilter & {
  shard?: string
  after?: string
  before?: string
  order?: 'asc' | 'desc'
  limit?: string
}

/** The shards that a request names; throws the problem 400 for one that there isn't. */
export function shardsOf({ shard = '0' }: EventsRequest, shards: number): number[] {
  if (shard === 'all') return Array.from({ length: shards }, (_, number) => number)
  if (Number(shard) >= shards) throw noSuchShard()
  return [Number(shard)]
}

/**
 * Where to start in each of these shards: `given` where it is (as `0/41,1/7`, or `41` of one shard;
 * a shard left out at `leftOut`), else null.
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
  if (positions === null) throw new Problem(400, 'invalid query', 'There is no such position.')
  if (shard === 'all') return positions.map((position) => position ?? missing)
  const position = positions[Number(shard)]
  if (position === undefined) throw noSuchShard()
  return [position]
}

/** `from` and `to`, where they are given, as moments. */
export function readTimes({ from, to }: ReadFilter): ReadFilter {
  const moments: ReadFilter = {}
  for (const [name, timestamp] of Object.entries({ from, to })) {
    if (timestamp === undefined) continue
    const moment = toMoment(timestamp)
    if (moment === null) throw new Problem(400, 'invalid query', `There is no such time: ${name}.`)
    moments[name as 'from' | 'to'] = moment
  }
  return moments
}

const noSuchShard = () => new Problem(400, 'invalid query', 'There is no such shard.')
