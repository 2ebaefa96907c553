import { beforeAll, describe, expect, test } from 'bun:test'
import { type Covered, LogScan, type ScanRequest } from '../../src/bookkeeping/adoption/log-scan.ts'
import { LogScans } from '../../src/bookkeeping/adoption/log-scans.ts'
import { encodeKeyFlush } from '../../src/events/key-flush.ts'
import { editLog, insertEvent, insertEvents } from '../support/events.ts'
import { useDatabase, usePools } from '../support/server.ts'

// A scan finds what a shard's log holds for names that it does not keep apart: exactly the flushes
// that no adoption has covered, through a position or, of before the log was resharded, until a
// time. It may pause between two steps.

const database = useDatabase({ shards: 1 })
const pools = usePools(database)

const TIMES = [0, 1, 2, 3].map((minute) => `2026-01-31T12:0${minute}:00.000000+00:00`)
const LAST = TIMES.at(-1)!
const NOTHING: Covered = { through: -1, until: '' }
const LARGE = 9 * 1024 * 1024

/** A flush of an unknown key. */
const flushOf = (requests: number, times: { counted_at?: number } = {}) =>
  encodeKeyFlush({
    ...{ hashes: ['a'], requests: [requests], tokens: [0], last_accessed_at: [0] },
    ...{ quota_tracked: [null], ...times },
  })

// 1, 10, 100 and 1,000 requests, at positions 0 to 3 and at these times.
beforeAll(async () => {
  const payloads = TIMES.map((_, i) => flushOf(10 ** i))
  await insertEvents(database.owner, payloads, { recordedAt: TIMES })
})

const insert = (requests: number) =>
  insertEvent(database.owner, { payload: flushOf(requests), recordedAt: LAST })

/** Appends a flush with this many bytes, which the database adds. */
const insertLarge = (position: number, requests: number, bytes: number) => database.owner`
  insert into events (
    shard, position, type, version, recorded_at, source, payload, payload_sha256
  )
  select
    0, ${position}, 'KeyStatsFlushed', 1, ${LAST}::timestamptz, 'owner', f.text::json,
    sha256(convert_to(f.text, 'UTF8'))
  from (select rpad(${flushOf(requests)}, ${bytes}) as text) f`

const requestOf = (changes: Partial<ScanRequest> = {}): ScanRequest => ({
  ...{ shard: 0, kind: 'key', after: -1, reversed: new Set() },
  names: new Map([['a', NOTHING]]),
  ...changes,
})
const covering = (covered: Partial<Covered>) => ({
  names: new Map([['a', { ...NOTHING, ...covered }]]),
})

async function readThrough(scan: LogScan, end: number): Promise<void> {
  while (scan.countLeft(end) > 0) await scan.readStep(pools.read, end)
}

/** Returns the requests that a scan finds through a position. */
async function scan(changes: Partial<ScanRequest> = {}, through = 3): Promise<number> {
  const scan = new LogScan(requestOf(changes))
  await readThrough(scan, through)
  return scan.toRows().reduce((sum, { requests }) => sum + requests, 0)
}

test('begins after what is covered, through a position or until a time', async () => {
  expect(await scan()).toBe(1_111)
  expect(await scan(covering({ through: 0 }))).toBe(1_110)
  expect(await scan(covering({ through: 2 }))).toBe(1_000)
  expect(await scan(covering({ until: TIMES[1]! }))).toBe(1_100)
  expect(await scan(covering({ until: TIMES[3]! }))).toBe(0)
})

test('keeps to its range, and leaves out what was reversed', async () => {
  expect(await scan({ after: 1 })).toBe(1_100)
  expect(await scan({}, 1)).toBe(11)
  expect(await scan({ reversed: new Set([2]) })).toBe(1_011)
})

describe('a scan that was begun', () => {
  test('is resumed by the same request, unless a flush that it has read was reversed', async () => {
    const scans = new LogScans()
    const begun = scans.open(requestOf())
    await begun.readStep(pools.read, 2)
    expect(scans.open(requestOf())).toBe(begun)
    expect(scans.open(requestOf({ reversed: new Set([3]) }))).toBe(begun)
    expect(scans.open(requestOf({ names: new Map([['b', NOTHING]]) }))).not.toBe(begun)
    expect(scans.open(requestOf({ reversed: new Set([0, 3]) }))).not.toBe(begun)
    expect(scans.open(requestOf({ reversed: new Set([3]) }))).toBe(begun)
    await readThrough(begun, 3)
    expect(begun.toRows()).toMatchObject([{ requests: 111, flushes: 3 }])
  })

  test('is not resumed after another adoption, but goes on after its own', async () => {
    const scans = new LogScans()
    const begun = scans.open(requestOf())
    await begun.readStep(pools.read, 1)
    expect(scans.open(requestOf(covering({ through: 1 })))).not.toBe(begun)
    begun.leaveOut(new Set(['a']))
    expect(scans.open(requestOf(covering({ through: 1 })))).toBe(begun)
    await readThrough(begun, 3)
    expect(begun.toRows()).toMatchObject([{ requests: 1_100, flushes: 2 }])
  })
})

test('a step reads at most 16 MiB, or one event', async () => {
  await insertLarge(4, 1, LARGE)
  await insertLarge(5, 2, LARGE)
  await insertLarge(6, 4, 2 * LARGE)
  await insert(8)
  const steps = new LogScan(requestOf({ after: 3 }))
  const left: number[] = []
  do {
    await steps.readStep(pools.read, 7)
    left.push(steps.countLeft(7))
  } while (left.at(-1)! > 0)
  expect(left).toEqual([3, 2, 1, 0])
  expect(steps.toRows()).toMatchObject([{ requests: 15, flushes: 4 }])
})

test('finds each quarter hour in which flushes were counted', async () => {
  const day = Date.parse('2026-01-31T00:00:00Z') / 1_000
  const payloads = [day, day + 899, day + 900].map((counted_at, i) =>
    flushOf(10 ** i, { counted_at }),
  )
  const first = await insertEvents(database.owner, payloads, { version: 2, recordedAt: LAST })
  const found = new LogScan(requestOf({ after: first - 1 }))
  await readThrough(found, first + 2)
  expect(found.toRows().map(({ time, requests }) => [time, requests])).toEqual([
    ['2026-01-31T00:00:00.000000+00:00', 11],
    ['2026-01-31T00:15:00.000000+00:00', 100],
  ])
})

test('a scan of a log that has lost events is not resumed', async () => {
  const after = await insert(16)
  const head = await insert(32)
  const scans = new LogScans()
  const begun = scans.open(requestOf({ after: after - 1 }))
  await readThrough(begun, head)
  await editLog(database.owner, (sql) => sql`delete from events where position = ${head}`)
  await expect(begun.readStep(pools.read, after)).rejects.toThrow('log changed')
  const shorter = scans.open(requestOf({ after: after - 1 }))
  expect(shorter).not.toBe(begun)
  await readThrough(shorter, after)
  await editLog(database.owner, (sql) => sql`delete from events where position = ${after}`)
  await insert(64)
  await expect(shorter.readStep(pools.read, after)).rejects.toThrow('log changed')
  const again = scans.open(requestOf({ after: after - 1 }))
  expect(again).not.toBe(shorter)
  await readThrough(again, after)
  expect(again.toRows()).toMatchObject([{ requests: 64 }])
})
