/** Returns how many events of the log the page does not reflect yet; 0 if that is unknown. */
export function countBehind(newest: string | null, reflected: string | null): number {
  if (newest === null || reflected === null) return 0
  const at = readPositions(reflected)
  let behind = 0
  for (const [shard, position] of readPositions(newest)) {
    behind += Math.max(0, position - (at.get(shard) ?? -1))
  }
  return behind
}

/** Parses `0/41,1/7`. */
const readPositions = (text: string) =>
  new Map(
    text.split(',').map((part) => {
      const [shard, position] = part.split('/').map(Number)
      return [shard!, position!]
    }),
  )
