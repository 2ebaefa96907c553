import type { Line } from './event-line.ts'

/** One shard's lines on their way to a reader, in the order of the log. */
export type LineSource = {
  /**
   * The next line; `read` where the log has to be read for it, `none` where there is none for now.
   */
  peek(): Line | 'read' | 'none'
  /** Takes the line that `peek` gave. */
  take(): void
}

/**
 * Takes the oldest of several shards' next lines. `read` where that can't be told before a shard is
 * read: what follows there may be older than what the others have.
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
