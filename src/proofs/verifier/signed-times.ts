import { parseEventLine } from '../../events/event-line.ts'
import type { EventSource } from './sources/source.ts'

/**
 * Reads when the first and the last signed event of each shard were recorded (ms since 1970). Lines
 * that can't be read are skipped: the walk reports them.
 */
export async function readSignedTimes(
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
