import type { Line } from './event-line.ts'

/** The lines of one shard for a reader, in the order of the log. */
export type LineSource = {
  /**
   * Returns the next line; `read` if the log must be read for it, `none` if there is none yet.
   */
  peek(): Line | 'read' | 'none'
  /** Takes the line that `peek` returned. */
  take(): void
}

/**
 * Takes the oldest of several shards' next lines. Returns `read` if a shard has to be read first,
 * as its next line may be older than the others'; `none` if no shard has a line.
 */
export function takeNextByTime(sources: readonly LineSource[]): Line | 'read' | 'none' {
  let oldest: Line | undefined
  let from: LineSource | undefined
  for (const source of sources) {
    const next = source.peek()
    if (next === 'read') return 'read'
    if (next === 'none' || (oldest && oldest.recordedAt <= next.recordedAt)) continue
    oldest = next
    from = source
  }
  from?.take()
  return oldest ?? 'none'
}
