import { expect, test } from 'bun:test'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { insertEvent, readPositions } from '../support/events.ts'
import { positionOfOutcome, type TestLog, useLogs } from '../support/log.ts'

// Invariant 1: an acknowledged write is in the log exactly once.
// Invariant 3: positions of a shard are gapless from 0 and in commit order; recorded_at never
// decreases within a shard.

const POSTERS = 48
const POSTS_EACH = 3

const [one, other] = useLogs(2) as [TestLog, TestLog]

/** Posts flushes and catalog changes concurrently through two instances; returns the positions. */
async function postConcurrently(): Promise<string[]> {
  const posters = Array.from({ length: POSTERS }, async (_, poster) => {
    const log = poster % 2 === 0 ? one : other
    const positions: string[] = []
    for (let i = 0; i < POSTS_EACH; i++) {
      const id = poster + 1
      const key = poster % 3 === 0 ? { key: crypto.randomUUID() } : {}
      const position =
        poster % 16 === 0
          ? `0/${await log.change({ api_keys: [{ id, group_id: 0, name: `${i}` }] })}`
          : positionOfOutcome(await log.flush(id, 1, key))
      positions.push(position)
    }
    return positions
  })
  return (await Promise.all(posters)).flat()
}

/** Expects positions gapless from 0 in every shard. */
async function expectGapless(): Promise<void> {
  for (let shard = 0; shard < one.shards; shard++) {
    const positions = await readPositions(one.database.owner, shard)
    expect(positions).toEqual(positions.map((_, i) => i))
  }
}

/** Returns the events recorded earlier than their predecessor. */
const readBackwards = async () => [
  ...(await one.database.owner`
    select *
    from (
      select shard, position,
        recorded_at < lag(recorded_at) over (partition by shard order by position) as backwards
      from events
    ) e
    where e.backwards`),
]

test('positions are gapless from 0, in commit order, and acknowledged once each', async () => {
  let posting = true
  const posted = postConcurrently().finally(() => {
    posting = false
  })
  // In commit order: no one ever sees a position before all lower ones.
  while (posting) {
    const [seen] = await one.database.owner`
      select coalesce(sum(s.events), 0)::integer as events,
        coalesce(sum(s.last + 1), 0)::integer as positions
      from (select count(*) as events, max(position) as last from events group by shard) s`
    expect(seen!.events).toBe(seen!.positions)
    await Bun.sleep(2)
  }
  const acknowledged = await posted
  expect(acknowledged).toHaveLength(POSTERS * POSTS_EACH)
  expect(new Set(acknowledged).size).toBe(acknowledged.length)
  const rows = await one.database.owner<{ position: string }[]>`
    select shard || '/' || position as position from events`
  expect(rows.map(({ position }) => position).sort()).toEqual(acknowledged.sort())
  await expectGapless()
})

test('recorded_at does not go backwards under load', async () => {
  expect(await readBackwards()).toEqual([])
})

test('recorded_at does not go backwards after an event from the future', async () => {
  const future = '2999-01-01T00:00:00+00:00'
  const { owner } = one.database
  for (let shard = 0; shard < one.shards; shard++) {
    await insertEvent(owner, { shard, recordedAt: future })
  }
  await postConcurrently()
  expect(await readBackwards()).toEqual([])
  const [last] = await owner`select max(recorded_at)::text as recorded_at from events`
  expect(last!.recorded_at).toStartWith('2999-01-01 00:00:00')
  await expectGapless()
})

test('an acknowledged flush is in the log, as posted, when its answer arrives', async () => {
  const position = positionOfOutcome(await one.flush(4_711, 3))
  const [shard, number] = position.split('/').map(Number)
  const [event] = await one.database.owner`
    select type, version, source, idempotency_key, payload::text as payload,
      payload_sha256 = sha256(convert_to(payload::text, 'UTF8')) as hashed
    from events
    where shard = ${shard!} and position = ${number!}`
  expect(event).toEqual({
    type: 'ApiKeyStatsFlushed',
    version: 2,
    source: 'dp',
    idempotency_key: null,
    payload:
      '{"groups":[null],"counts":[1],"ids":[4711],"requests":[3],"failing":[],"failures":[]}',
    hashed: true,
  })
})

test('the append commits synchronously', async () => {
  const pools = openPools(one.database.address, one.shards)
  const [row] = await pools.append`show synchronous_commit`
  await pools.close()
  expect(row).toEqual({ synchronous_commit: 'on' })
})
