/** The quarter hour, in backdated usage, of what counts in none. */
export const NO_QUARTER = '-infinity'

/**
 * The number of positions whose flushes share rows of backdated usage. After an outage, thousands
 * of flushes count in the same few hours: with a row for each of their entries, the projector took
 * twenty times as long as for ordinary flushes. A read of the past folds the flushes of one
 * incomplete block per shard, which takes 60 ms for flushes of 100 entries.
 */
const BLOCK_POSITIONS = 4_096

/** Returns the last position of the block that contains a position. */
export const endOfBlock = (position: number): number =>
  position - (position % BLOCK_POSITIONS) + BLOCK_POSITIONS - 1

/** Returns the position before the first one of the block that contains a position. */
export const beforeBlock = (position: number): number => endOfBlock(position) - BLOCK_POSITIONS

/** True if a position is the last one of its block. */
export const endsBlock = (position: number): boolean => position === endOfBlock(position)
