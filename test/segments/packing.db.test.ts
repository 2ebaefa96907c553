import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { findKeys } from '../../src/log/find-keys.ts'
import { readHead } from '../../src/log/read.ts'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { packShard } from '../../src/segments/packing.ts'
import { insertEmptyFlushes, insertFlushes } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { startTestService } from '../support/service.ts'

// Idempotency keys of full segments move to a compact form, where they are found as before.

let database: TestDatabase

/** A database of one shard whose segments have 256 positions. */
beforeEach(async () => {
  database = await createDatabase({ shards: 1 })
  await database.owner.unsafe(`
    drop table events_0_0;
    delete from segments;
    select create_segment(0, n * 256, 256) from generate_series(0, 20) n`)
})
afterEach(() => database.drop())

const pack = () => packShard(database.owner, database.address, 0)

const readIndexes = async () => {
  const rows = await database.owner<{ name: string }[]>`
    select c.relname as name from pg_class c where c.relname like 'events%\\_idempotency\\_key'`
  return rows.length
}

const readPacked = async () => {
  const [row] = await database.owner<{ keys: number; rows: number; largest: number }[]>`
    select sum(octet_length(k.entries) / 14)::integer as keys, count(*)::integer as rows,
      max(octet_length(k.entries)) as largest
    from packed_keys k`
  return row!
}

/** Looks up `key-0` to `key-<count - 1>`, and as many that are not there. */
async function findAll(count: number): Promise<Map<number, number>> {
  const keys = Array.from({ length: count }, (_, i) => [`key-${i}`, `other-${i}`]).flat()
  const found = await findKeys(
    database.owner,
    0,
    keys.map((idempotencyKey) => ({ source: 'owner', idempotencyKey })),
  )
  return new Map([...found].map(([i, position]) => [i / 2, position]))
}

const allOf = (count: number) => new Map(Array.from({ length: count }, (_, i) => [i, i]))

async function problems(): Promise<string[]> {
  const { signal } = new AbortController()
  const { first } = await verifyDatabase(database.address, { signal, onProgress: () => {} })
  return first
    .filter(({ check }) => check === 'idempotency' || check === 'shards')
    .map(({ check, at }) => `${at} (${check})`)
}

test('keys of full segments are packed, their indexes are dropped, and all are found', async () => {
  await insertFlushes(database.owner, 3_000)
  const before = await readIndexes()
  await pack()
  const full = Math.floor((await readHead(database.owner, 0)) / 256)
  expect(await readPacked()).toMatchObject({ keys: full * 256 })
  expect((await readPacked()).largest).toBeLessThanOrEqual(72 * 14)
  expect(await readIndexes()).toBe(before - full)
  expect(await findAll(3_000)).toEqual(allOf(3_000))
  expect(await problems()).toEqual([])
})

test('what was packed again and again is there once', async () => {
  for (let i = 0; i < 5; i++) {
    await insertFlushes(database.owner, 600)
    await pack()
    await pack()
  }
  expect((await readPacked()).keys).toBe(11 * 256)
  expect((await findAll(3_000)).size).toBe(3_000)
  expect(await problems()).toEqual([])
})

test('a segment that was packed in part is looked up in its index', async () => {
  await insertFlushes(database.owner, 600)
  await database.owner`select pack_keys(0, 0, 100)`
  expect(await findAll(600)).toEqual(allOf(600))
  await pack()
  expect(await findAll(600)).toEqual(allOf(600))
  expect((await readPacked()).keys).toBe(512)
})

test('a key whose hash is that of another is another key', async () => {
  await insertFlushes(database.owner, 600)
  await pack()
  // As if the key of position 7 had the hash of one that is not in the log.
  await database.owner`
    update packed_keys k
    set entries = k.entries || key_hash('owner', 'forged') || '\\x000000000007'
    where k.first = (
      select o.first from packed_keys o where o.first <= key_hash('owner', 'forged')
      order by o.first desc
      limit 1
    )`
  expect([
    ...(await findKeys(database.owner, 0, [{ source: 'owner', idempotencyKey: 'forged' }])),
  ]).toEqual([])
  const append = (key: string) => database.owner`
    select a.first_position::integer, a.replayed_positions::integer[] as replayed
    from append_batch(
      0, -1, 'KeyStatsFlushed', '1', 'owner', ${key}, '{}', encode(sha256('{}'), 'hex')
    ) a`
  expect([...(await append('forged'))]).toEqual([{ first_position: 600, replayed: [] }])
  expect([...(await append('key-7'))]).toEqual([{ first_position: 601, replayed: [7] }])
  expect(await problems()).toHaveLength(1)
})

test('two keys with one hash are both found', async () => {
  await insertFlushes(database.owner, 600)
  await pack()
  // The entry of position 9 comes second.
  await database.owner`
    update packed_keys k
    set entries = key_hash('owner', 'key-9') || '\\x000000000003' || k.entries
    where k.first = (
      select o.first from packed_keys o where o.first <= key_hash('owner', 'key-9')
      order by o.first desc
      limit 1
    )`
  expect(await findAll(600)).toEqual(allOf(600))
})

describe('a key whose event has left the database', () => {
  const appendTwo = (differing: string) => database.owner`
    select a.first_position::integer, a.replayed_positions::integer[] as replayed
    from append_batch(
      0, -1, ${'KeyStatsFlushed\nKeyStatsFlushed'}, ${'1\n1'}, ${'owner\nowner'}, ${'new\nkey-7'},
      ${'{}\n{}'}, (
        select string_agg(encode(sha256('{}'), 'hex'), chr(10)) from generate_series(1, 2)
      ),
      p_differing => ${differing}
    ) a`

  beforeEach(async () => {
    await insertFlushes(database.owner, 600)
    await pack()
    await database.owner`alter table events_0 detach partition events_0_0`
  })

  test('has to be confirmed before anything is appended', async () => {
    const refused = await appendTwo('').catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'TB003', detail: '2 7' })
    expect(await readHead(database.owner, 0)).toBe(599)
    await expect(findAll(10)).rejects.toThrow('archive unavailable')
  })

  test('is another key if the caller has found that it differs', async () => {
    expect([...(await appendTwo('\n7'))]).toEqual([{ first_position: 600, replayed: [] }])
    // Positions of another key of the batch say nothing of this one.
    const refused = await appendTwo('7\n8').catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'TB003' })
  })
})

test('a session that is killed while it packs leaves what was packed before', async () => {
  await insertFlushes(database.owner, 2_000)
  const { owner } = database
  await owner`select pack_keys(0, 0, 255)`
  const killed = owner.begin(async (transaction) => {
    await transaction`select pack_keys(0, 256, 511)`
    await transaction`select pg_terminate_backend(pg_backend_pid())`
  })
  await expect(killed).rejects.toThrow()
  expect((await readPacked()).keys).toBe(256)
  await pack()
  expect((await readPacked()).keys).toBe(7 * 256)
  expect(await findAll(2_000)).toEqual(allOf(2_000))
  expect(await problems()).toEqual([])
})

test('an index whose removal was interrupted is removed by the next call', async () => {
  await insertFlushes(database.owner, 600)
  await database.owner`select pack_keys(0, 0, 255)`
  const before = await readIndexes()
  expect(await findAll(600)).toEqual(allOf(600))
  await pack()
  expect(await readIndexes()).toBe(before - 2)
})

test('retries of flushes in packed segments are replayed by a service', async () => {
  const service = await startTestService({ database, shards: 1, segmentBytes: 1 })
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  const post = async (key: string, requests: number) => {
    const body = { keys: [{ api_key_id: 1, requests }] }
    const headers = { 'idempotency-key': key }
    const response = await service.post('/internal/apikey-stats/flush', body, headers)
    return `${response.status} ${response.headers.get('idempotency-replayed')}`
  }
  expect(await post('first', 1)).toBe('200 null')
  await insertEmptyFlushes(database.owner, 0, 600)
  await pack()
  expect((await readPacked()).keys).toBeGreaterThan(0)
  expect(await post('first', 1)).toBe('200 true')
  expect(await post('first', 2)).toStartWith('422')
  expect(await post('second', 1)).toBe('200 null')
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  expect(total_requests).toBe(2)
  await service.stop()
})
