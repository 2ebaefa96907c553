/** A position a shard, by index; -1 stands before the first event. */
export type Positions = readonly number[]

/** True where nothing of `needed` is missing in `positions`. */
export const covers = (positions: Positions, needed: Positions): boolean =>
  needed.every((position, shard) => position <= (positions[shard] ?? -1))

/** `0/41,1/7`: how positions are written in headers and queries. */
export function formatPositions(positions: Positions): string {
  return positions.map((position, shard) => `${shard}/${position}`).join(',')
}

/**
 * Reads `0/41,1/7`; null where it isn't of that form or names a shard twice or past `shards`. A
 * shard left out is undefined.
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
