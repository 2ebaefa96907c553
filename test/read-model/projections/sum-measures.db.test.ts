import { expect, test } from 'bun:test'
import { transact } from '../../../src/platform/postgres/pool.ts'
import { writeMeasures } from '../../../src/read-model/projections/detail-rows.ts'
import type { Measures } from '../../../src/read-model/projections/detail-totals.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { useDatabase, usePools } from '../../support/server.ts'

// Measures add up to rows that are as long as the longest array, however long the others are.

const database = useDatabase()
const pools = usePools(database)

const target = { shard: 0, generation: 1, after: -1, position: 0 }
const last = (length: number, value: number | bigint): Measures => [
  ...new Array<number>(length - 1).fill(0),
  value,
]

test('arrays of any lengths are added element by element', async () => {
  await createCheckpoints(pools.project)
  const written: [account: number, measures: Measures][][] = [
    [
      [1, [1, 2]],
      [2, []],
      [3, last(32, 5)],
      [4, last(33, 6)],
    ],
    [
      [1, [10]],
      [2, [7, 0, 9]],
      [3, [1]],
      [4, [2, 3]],
    ],
    [
      [1, last(33, 4)],
      [2, [1]],
      [3, last(256, -5)],
      [4, last(33, 2n ** 60n)],
    ],
    [
      [1, [1, 1, 1]],
      [2, []],
      [3, [0, 0, 2]],
      [4, []],
    ],
  ]
  for (const rows of written) {
    await transact(pools.project, '', (transaction) =>
      writeMeasures(transaction, target, 'api_key', rows),
    )
  }
  const read = await database.owner<{ id: string; measures: string[] }[]>`
    select m.api_key_id as id, array(select v::text from unnest(m.measures) v) as measures
    from api_key_measures m
    order by m.api_key_id`
  const expected = [1, 2, 3, 4].map((account) => {
    const all = written.flat().flatMap(([one, measures]) => (one === account ? [measures] : []))
    const length = Math.max(...all.map((measures) => measures.length))
    const sums = Array.from({ length }, (_, i) =>
      all.reduce((sum, measures) => sum + BigInt(measures[i] ?? 0), 0n),
    )
    return { id: String(account), measures: sums.map(String) }
  })
  expect(read.map(({ id, measures }) => ({ id: String(id), measures }))).toEqual(expected)
})
