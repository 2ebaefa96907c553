import { afterAll, beforeAll, expect, test } from 'bun:test'
import { hashPayload } from '../../src/events/event.ts'
import { appendServiceEvent, type ServiceEvent } from '../../src/log/append-event.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { insertEvent, lockShards, readPositions, untilWaiting } from '../support/events.ts'
import { useLog } from '../support/log.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'

// Invariants 1 and 3 for service events: in the log exactly once, at gapless positions, and
// recorded_at never decreases. Both halves of a failed write.

const log = useLog()
let proxy: LossyProxy
let pools: Pools
/** Connects through the proxy that cuts connections. */
let lossy: Pools

beforeAll(async () => {
  const { address } = log.database
  proxy = await startProxy(address)
  pools = openPools(address, log.shards)
  lossy = openPools(proxy.address, log.shards)
})

afterAll(async () => {
  await pools.close()
  await lossy.close()
  await proxy.close()
})

const SERVICE_EVENT: ServiceEvent = {
  type: 'OriginChanged',
  payload: { origin: 'stats.example.com/ä/audit/log/0', previous: 'a\n"b"\\ – c\n' },
}

/** Not shard 0, so that an event that lands there by mistake is noticed. */
const lastShard = () => log.shards - 1
const append = (key: string, sql = pools.append) =>
  appendServiceEvent(sql, lastShard(), SERVICE_EVENT, key)

async function countEvents(key: string): Promise<number> {
  const [row] = await log.database.owner`
    select count(*)::integer as count from events where idempotency_key = ${key}`
  return row!.count as number
}

async function expectInOrder(): Promise<void> {
  for (let shard = 0; shard < log.shards; shard++) {
    const positions = await readPositions(log.database.owner, shard)
    expect(positions).toEqual(positions.map((_, i) => i))
  }
  const backwards = await log.database.owner`
    select *
    from (
      select recorded_at < lag(recorded_at) over (partition by shard order by position) as backwards
      from events
    ) e
    where e.backwards`
  expect(backwards.length).toBe(0)
}

test('a service event is stored unchanged in its shard, with source tallybook', async () => {
  const { shard, position, replayed } = await append('unchanged')
  expect([shard, replayed]).toEqual([lastShard(), false])
  const payload = JSON.stringify(SERVICE_EVENT.payload)
  const [event] = await log.database.owner`
    select type, version, source, idempotency_key, payload::text as payload,
      encode(payload_sha256, 'hex') as sha256
    from events where shard = ${shard} and position = ${position}`
  expect(event).toEqual({
    type: 'OriginChanged',
    version: 1,
    source: 'tallybook',
    idempotency_key: 'unchanged',
    payload,
    sha256: hashPayload(payload),
  })
})

test('service events among flushes leave no gap, and each key is stored once', async () => {
  const flushes = Array.from({ length: 60 }, () => log.flush(1, 1))
  const appended = await Promise.all(
    Array.from({ length: 60 }, (_, i) => append(`among ${i % 20}`)),
  )
  const outcomes = (await Promise.all(flushes)).map(({ kind }) => kind)
  expect(new Set(outcomes)).toEqual(new Set(['appended']))
  expect(appended.filter(({ replayed }) => !replayed)).toHaveLength(20)
  appended.forEach(({ position }, i) => {
    expect(position).toBe(appended[i % 20]!.position)
  })
  expect(new Set(appended.map(({ position }) => position)).size).toBe(20)
  await expectInOrder()
})

test('stored, but the answer is lost: the next attempt is a replay', async () => {
  const cut = proxy.cut('after commit', 'append_event')
  const failed = append('lost', lossy.append).catch((error: unknown) => error)
  await cut
  expect(await failed).toBeInstanceOf(Error)
  expect(await countEvents('lost')).toBe(1)
  const again = await append('lost', lossy.append)
  expect(again.replayed).toBe(true)
  expect(await append('lost')).toEqual(again)
  expect(await countEvents('lost')).toBe(1)
})

test('cut before it is stored: nothing is stored, and the next attempt appends it', async () => {
  const cut = proxy.cut('before', 'append_event')
  const failed = append('cut', lossy.append).catch((error: unknown) => error)
  await cut
  expect(await failed).toBeInstanceOf(Error)
  expect(await countEvents('cut')).toBe(0)
  expect((await append('cut', lossy.append)).replayed).toBe(false)
  expect(await countEvents('cut')).toBe(1)
})

test('a connection terminated while it waits for the shard stores nothing', async () => {
  const lock = await lockShards(log.database)
  try {
    const failed = append('ended').catch((error: unknown) => error)
    const [pid] = await untilWaiting(log.database.owner, 1)
    await log.database.owner`select pg_terminate_backend(${pid!}::integer)`
    expect(await failed).toBeInstanceOf(Error)
  } finally {
    await lock.release()
  }
  expect(await countEvents('ended')).toBe(0)
  expect((await append('ended')).replayed).toBe(false)
})

test('recorded_at does not go backwards after an event from the future', async () => {
  const recordedAt = '2999-01-01T00:00:00+00:00'
  await insertEvent(log.database.owner, { shard: lastShard(), recordedAt })
  await append('later')
  await expectInOrder()
})
