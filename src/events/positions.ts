/** One position per shard, by index; -1 is before the first event. */
export type Positions = readonly number[]

/** True if `positions` has reached every position in `needed`. */
export const covers = (positions: Positions, needed: Positions): boolean =>
  needed.every((position, shard) => position <= (positions[shard] ?? -1))

/** Formats positions as `0/41,1/7`, the form used in headers and query parameters. */
export function formatPositions(positions: Positions): string {
  return positions.map((position, shard) => `${shard}/${position}`).join(',')
}

/**
 * Parses `0/41,1/7`. Returns null if the text isn't of that form, or if it names a shard twice or a
 * shard that doesn't exist. The position of a shard that isn't named is undefined.
 */
export function parsePositions(text: string, shards: number): (number | undefined)[] | null {
  const positions = new Array<number | undefined>(shards).fill(undefined)
  for (const part of text.split(',')) {
    const match = /^(\d{1,9})\/(-1|\d{1,15})$/.exec(part)
    if (!match) return null
    const shard = Number(match[1])
    if (shard >= shards || positions[shard] !== undefined) return null
    positions[shard] = Number(match[2])
  }
  return positions
}

/** The place of an event in a log. */
export type Location = { shard: number; position: number }

/** Parses a place such as `0/41`, whose form was checked before. */
export function parseLocation(text: string): Location {
  const [shard, position] = text.split('/').map(Number) as [number, number]
  return { shard, position }
}
