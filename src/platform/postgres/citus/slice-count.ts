/** Hash values there are: what Citus cuts into equal slices (its own word for them is shards). */
const HASHES = 2 ** 32

/**
 * Slices a shard at most, for a slice of its own and for workers that have as many: each is a table
 * on a worker, of every table that is spread.
 */
const SLICES_A_SHARD = { own: 4, even: 16 }

/**
 * Into how many slices Citus has to cut the hashes of shards so that every worker gets as many
 * shards as any other, give or take one, and each shard a slice of its own, which then can be moved
 * alone. The first counts more, and neither can always be had. The fewest that do.
 *
 * `hashes` are those of shard 0, 1, … (Citus' `worker_hash`), which lie unevenly: 4 shards on 2
 * workers take 13 slices.
 */
export function chooseSliceCount(hashes: readonly number[], workers: number): number {
  let best = { count: 0, max: Number.POSITIVE_INFINITY, slices: 0 }
  const end = Math.max(SLICES_A_SHARD.even * hashes.length, workers)
  for (let count = Math.max(hashes.length, workers); count <= end; count++) {
    const slices = new Set(hashes.map((hash) => sliceOf(hash, count)))
    const found = { count, max: maxOnOne(hashes, count, workers), slices: slices.size }
    const isWorthIt = count <= SLICES_A_SHARD.own * hashes.length && found.slices > best.slices
    if (found.max < best.max || (found.max === best.max && isWorthIt)) best = found
  }
  return best.count
}

/** The slice that a hash (a signed 32-bit number) falls into; the last one takes the remainder. */
function sliceOf(hash: number, count: number): number {
  const width = Math.floor(HASHES / count)
  return Math.min(Math.floor((hash + HASHES / 2) / width), count - 1)
}

/** Shards on the worker that has most of them: slices are dealt to workers in turn. */
function maxOnOne(hashes: readonly number[], count: number, workers: number): number {
  const shards = new Array<number>(workers).fill(0)
  for (const hash of hashes) shards[sliceOf(hash, count) % workers]!++
  return Math.max(...shards)
}
