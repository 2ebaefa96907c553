/** The number of hash values, which Citus divides into equal slices (it calls them shards). */
const HASHES = 2 ** 32

/**
 * Maximum number of slices per shard: to give each shard its own slice, and to balance workers. The
 * limits exist because each slice is a table on a worker for every distributed table.
 */
const SLICES_A_SHARD = { own: 4, even: 16 }

/**
 * Returns the smallest number of slices with which all workers have the same number of shards, give
 * or take one, and each shard has its own slice, so that it can be moved alone. Balance has
 * priority, and neither is always possible.
 *
 * `hashes` are Citus' `worker_hash` of shard 0, 1, …, which are unevenly distributed: 4 shards on 2
 * workers need 13 slices.
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

/** Returns the slice of a hash (a signed 32-bit number). The last slice takes the remainder. */
function sliceOf(hash: number, count: number): number {
  const width = Math.floor(HASHES / count)
  return Math.min(Math.floor((hash + HASHES / 2) / width), count - 1)
}

/** Returns the shards of the fullest worker; Citus assigns slices to workers round-robin. */
function maxOnOne(hashes: readonly number[], count: number, workers: number): number {
  const shards = new Array<number>(workers).fill(0)
  for (const hash of hashes) shards[sliceOf(hash, count) % workers]!++
  return Math.max(...shards)
}
