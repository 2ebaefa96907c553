import { parseEventLine } from '../../events/event-line.ts'
import type { EventSource } from './sources/source.ts'

/**
 * When the first and the last signed event of each shard were recorded, in milliseconds, as far as
 * they can be read: what is wrong with them is found when the log is gone through.
 */
export async function readMoments(
  events: EventSource,
  signed: readonly number[],
): Promise<number[]> {
  const moments: number[] = []
  for (const [shard, last] of signed.entries()) {
    for (const position of new Set(last < 0 ? [] : [0, last])) {
      for await (const line of events.readLines(shard, position, position + 1)) {
        const parsed = parseEventLine(line)
        if (parsed.kind === 'event') moments.push(Date.parse(parsed.event.recordedAt))
        break
      }
    }
  }
  return moments
}
