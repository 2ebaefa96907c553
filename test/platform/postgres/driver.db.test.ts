import { expect, test } from 'bun:test'
import { openPools } from '../../../src/platform/postgres/pool.ts'
import { useDatabase } from '../../support/server.ts'

const database = useDatabase()

test('a statement that fails after some rows leaves no holes in the next result', async () => {
  const pools = openPools(database.address, 1)
  try {
    // On each connection of the pool: three rows, then an error.
    const failing = Array.from({ length: 8 }, () =>
      pools.read`select 1 / (4 - i) from generate_series(1, 10) i`.catch((error) => error.code),
    )
    expect(await Promise.all(failing)).toEqual(Array(8).fill('22012'))
    const next = Array.from({ length: 8 }, () => pools.read`select i from generate_series(1, 2) i`)
    for (const rows of await Promise.all(next)) {
      expect([...rows]).toEqual([{ i: 1 }, { i: 2 }])
    }
  } finally {
    await pools.close()
  }
})
