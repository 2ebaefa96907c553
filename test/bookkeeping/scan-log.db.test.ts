import { beforeAll, expect, test } from 'bun:test'
import { type Covered, type LogScan, scanLog } from '../../src/bookkeeping/adoption/scan-log.ts'
import { encodeKeyFlush } from '../../src/events/key-flush.ts'
import { insertEvents } from '../support/events.ts'
import { useDatabase, usePools } from '../support/server.ts'

// What a shard's log holds for names that it does not keep apart: exactly the flushes that no
// adoption has covered, through a position or, of before the log was resharded, until a time.

const database = useDatabase({ shards: 1 })
const pools = usePools(database)

const TIMES = [0, 1, 2, 3].map((minute) => `2026-01-31T12:0${minute}:00.000000+00:00`)
const NOTHING: Covered = { through: -1, until: '' }

// 1, 10, 100 and 1,000 requests, at positions 0 to 3 and at these times.
beforeAll(async () => {
  const payloads = TIMES.map((_, i) =>
    JSON.stringify({
      ...{ hashes: ['a'], requests: [10 ** i], tokens: [0], last_accessed_at: [0] },
      quota_tracked: [null],
    }),
  )
  await insertEvents(database.owner, payloads, { recordedAt: TIMES })
})

/** Returns the requests that a scan finds. */
async function scan(covered: Partial<Covered>, part: Partial<LogScan> = {}): Promise<number> {
  const found = await scanLog(pools.read, {
    ...{ shard: 0, kind: 'key', after: -1, through: 3, reversed: new Set() },
    names: new Map([['a', { ...NOTHING, ...covered }]]),
    ...part,
  })
  return found.reduce((sum, { requests }) => sum + requests, 0)
}

test('begins after what is covered, through a position or until a time', async () => {
  expect(await scan({})).toBe(1_111)
  expect(await scan({ through: 0 })).toBe(1_110)
  expect(await scan({ through: 2 })).toBe(1_000)
  expect(await scan({ until: TIMES[1]! })).toBe(1_100)
  expect(await scan({ until: TIMES[3]! })).toBe(0)
})

test('finds each quarter hour in which flushes were counted', async () => {
  const day = Date.parse('2026-01-31T00:00:00Z') / 1_000
  const payloads = [day, day + 899, day + 900].map((counted_at, i) =>
    encodeKeyFlush({
      ...{ hashes: ['late'], requests: [10 ** i], tokens: [0], last_accessed_at: [0] },
      ...{ quota_tracked: [null], counted_at },
    }),
  )
  await insertEvents(database.owner, payloads, { version: 2 })
  const found = await scanLog(pools.read, {
    ...{ shard: 0, kind: 'key', after: -1, through: 6, reversed: new Set() },
    names: new Map([['late', NOTHING]]),
  })
  expect(found.map(({ time, requests }) => [time, requests])).toEqual([
    ['2026-01-31T00:00:00.000000+00:00', 11],
    ['2026-01-31T00:15:00.000000+00:00', 100],
  ])
})

test('keeps to its range, and leaves out what was reversed', async () => {
  expect(await scan({}, { after: 1 })).toBe(1_100)
  expect(await scan({}, { through: 1 })).toBe(11)
  expect(await scan({}, { reversed: new Set([2]) })).toBe(1_011)
})
