import { expect, test } from 'bun:test'
import { chooseSliceCount } from '../../../src/platform/postgres/citus/slice-count.ts'

/** `select worker_hash(s) from generate_series(0, 15) s`, on Citus 13.2. */
const HASHES = [
  ...[-272711505, -1905060026, 1134484726, -28094569, -1011077333, -1330264708, 566031088],
  ...[-978793473, -2047600124, 1672378334, -1547814713, 2011968649, 1938269380, 1073282396],
  ...[-1018458207, -1889599194],
]

/** Returns the worker of each shard if Citus divides the hashes into `count` slices. */
function placeShards(shards: number, count: number, workers: number): number[] {
  const width = Math.floor(2 ** 32 / count)
  return HASHES.slice(0, shards).map(
    (hash) => Math.min(Math.floor((hash + 2 ** 31) / width), count - 1) % workers,
  )
}

test('up to four workers have equally many shards, to within one', () => {
  for (const workers of [1, 2, 3, 4]) {
    for (let shards = 1; shards <= HASHES.length; shards++) {
      const count = chooseSliceCount(HASHES.slice(0, shards), workers)
      const on = placeShards(shards, count, workers)
      const max = Math.max(...on.map((worker) => on.filter((other) => other === worker).length))
      expect([workers, shards, max]).toEqual([workers, shards, Math.ceil(shards / workers)])
    }
  }
})

test('four and eight shards on two workers take the slice counts tried on a real cluster', () => {
  expect(chooseSliceCount(HASHES.slice(0, 4), 2)).toBe(13)
  expect(chooseSliceCount(HASHES.slice(0, 8), 2)).toBe(15)
})
