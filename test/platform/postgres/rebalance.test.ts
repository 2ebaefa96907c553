import { expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  planMoves,
  type Slice,
  type Worker,
} from '../../../src/platform/postgres/citus/rebalance.ts'

const workerOf = (name: string, takes = true): Worker => ({ name, host: name, port: 5432, takes })

/** In `{ a: [[0], [1, 2], []] }` worker a has three slices, the second with two shards. */
function slicesOf(layout: Record<string, number[][]>): Slice[] {
  let id = 1
  return Object.entries(layout).flatMap(([worker, slices]) =>
    slices.map((shards) => ({ id: String(id++), worker, shards })),
  )
}

/** Returns how many shards each worker has after the moves. */
function countAfter(workers: Worker[], slices: Slice[]): number[] {
  const on = new Map(slices.map((slice) => [slice.id, slice.worker]))
  for (const { slice, from, to } of planMoves(workers, slices)) {
    expect(on.get(slice.id)).toBe(from.name)
    on.set(slice.id, to.name)
  }
  return workers.map(({ name }) =>
    slices.reduce((sum, { id, shards }) => sum + (on.get(id) === name ? shards.length : 0), 0),
  )
}

const three = ['a', 'b', 'c'].map((name) => workerOf(name))

test('a new worker gets its share, and nothing else moves', () => {
  const slices = slicesOf({ a: [[0], [], [1], [2], []], b: [[3], [], [4], [5]], c: [] })
  expect(countAfter(three, slices)).toEqual([2, 2, 2])
  expect(planMoves(three, slices)).toHaveLength(2)
})

test('eight shards on two of three workers are spread 3, 3, 2', () => {
  const slices = slicesOf({ a: [[0], [1], [2], [3]], b: [[4], [5], [6], [7]], c: [] })
  expect(countAfter(three, slices).toSorted()).toEqual([2, 3, 3])
})

test('empty slices stay where they are', () => {
  const slices = slicesOf({ a: [[0], [], [], [], []], b: [[1]], c: [[2]] })
  expect(planMoves(three, slices)).toEqual([])
})

test('a worker that takes no shards keeps not even an empty slice', () => {
  const workers = [workerOf('a'), workerOf('b', false), workerOf('c')]
  const slices = slicesOf({ a: [[0]], b: [[1], [], [2], [3]], c: [] })
  expect(countAfter(workers, slices)).toEqual([2, 0, 2])
  expect(planMoves(workers, slices).filter(({ from }) => from.name === 'b')).toHaveLength(4)
})

test('shards of one slice move together, and only if that evens out the load', () => {
  const slices = slicesOf({
    a: [
      [0, 1],
      [2, 3],
    ],
    b: [],
    c: [[4]],
  })
  expect(countAfter(three, slices).toSorted()).toEqual([1, 2, 2])
  expect(planMoves([workerOf('a'), workerOf('b')], slicesOf({ a: [[0, 1, 2]], b: [] }))).toEqual([])
})

test('a worker whose one slice is too heavy to move does not stop moves from others', () => {
  const slices = slicesOf({ a: [[0, 1, 2]], b: [[3], [4]], c: [] })
  expect(countAfter(three, slices)).toEqual([3, 1, 1])
})

test('nothing moves if no worker takes shards or all have equally many', () => {
  expect(planMoves([workerOf('a', false)], slicesOf({ a: [[0]] }))).toEqual([])
  expect(planMoves(three, slicesOf({ a: [[0]], b: [[1]], c: [[2]] }))).toEqual([])
  expect(planMoves(three, [])).toEqual([])
})

test('with one shard per slice, any plan evens out the workers to within one shard', () => {
  const layout = fc.array(fc.nat({ max: 3 }), { maxLength: 64 })
  fc.assert(
    fc.property(layout, (places) => {
      const slices = places.map((place, shard) => ({
        id: String(shard),
        shards: [shard],
        worker: 'abcd'[place]!,
      }))
      const counts = countAfter([...three, workerOf('d')], slices)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }),
  )
})
