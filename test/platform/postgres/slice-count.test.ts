import { expect, test } from 'bun:test'
import { chooseSliceCount } from '../../../src/platform/postgres/citus/slice-count.ts'

/** `select worker_hash(s) from generate_series(0, 15) s`, on Citus 13.2. */
const HASHES = [
  ...[-272711505, -1905060026, 1134484726, -28094569, -1011077333, -1330264708, 566031088],
  ...[-978793473, -2047600124, 1672378334, -1547814713, 2011968649, 1938269380, 1073282396],
  ...[-1018458207, -1889599194],
]

/** The worker that each shard is on, where Citus cuts the hashes into so many slices. */
function deal(shards: number, count: number, workers: number): number[] {
  const width = Math.floor(2 ** 32 / count)
  return HASHES.slice(0, shards).map(
    (hash) => Math.min(Math.floor((hash + 2 ** 31) / width), count - 1) % workers,
  )
}

test('every one of a few workers has as many shards as any other, give or take one', () => {
  for (const workers of [1, 2, 3, 4]) {
    for (let shards = 1; shards <= HASHES.length; shards++) {
      const count = chooseSliceCount(HASHES.slice(0, shards), workers)
      const on = deal(shards, count, workers)
      const most = Math.max(...on.map((worker) => on.filter((other) => other === worker).length))
      expect([workers, shards, most]).toEqual([workers, shards, Math.ceil(shards / workers)])
    }
  }
})

test('four shards on two workers, and eight, take as many slices as was tried', () => {
  expect(chooseSliceCount(HASHES.slice(0, 4), 2)).toBe(13)
  expect(chooseSliceCount(HASHES.slice(0, 8), 2)).toBe(15)
})
