import { expect, test } from 'bun:test'
import { shardOfKey } from '../../src/events/shard-of-key.ts'
import { verify } from '../proofs/integrity/history.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { lockShards, positionOf, untilWaiting } from '../support/events.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'

// A shard keeps the first 100,000 unknown keys of each kind apart. The others are one row, and to
// adopt them reads the log. Other shards may keep more keys apart: what acts take of such a key in
// one shard is not missing in the others.

const LISTED = 100_000
const PART = 10_000

/** The shard that has seen as many names as it keeps apart, and one that has not. */
const FULL = 1
const OTHER = 0

// Appends wait for a lock for longer than a worker takes to start.
const intervals = { database: { ...TEST_INTERVALS.database, lockTimeoutMs: 60_000 } }
const service = useService({ intervals })
let keys = 0

type Page = { items: unknown[]; other: { requests: number; flushes: number } }

/** Returns a new idempotency key that a shard gets. */
function keyOf(shard: number): string {
  for (;;) {
    const key = `flush-${keys++}`
    if (shardOfKey('dp', key, service.shards) === shard) return key
  }
}

async function flush(shard: number, keys: object[]): Promise<string> {
  const response = await service.fetch('dp', '/internal/apikey-stats/flush', {
    method: 'POST',
    headers: { 'idempotency-key': keyOf(shard) },
    body: JSON.stringify({ keys }),
  })
  const position = positionOf(response)
  expect(position).toStartWith(`${shard}/`)
  return position
}
const reverse = (position: string) =>
  service.act('/admin/corrections', { reverse: position, reason: 'posted twice' })
const others = async () =>
  (await service.read<Page>('/admin/unknown-keys?kind=api_key&limit=1')).other
const adopt = async (externalId: string, from: TestService = service) => {
  const response = await from.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify({ api_keys: [{ external_id: externalId }] }),
  })
  return ((await response.json()) as { requests: number }).requests
}
const totalOf = async (externalId: string) =>
  (await service.read<{ total_requests: number }>(`/admin/api-keys/ext:${externalId}`))
    .total_requests

test('unknown keys beyond the bound are counted together', async () => {
  const names = { dimensions: [{ name: 'model' }], measures: [{ name: 'cost' }] }
  await service.putCatalog({ api_keys: [{ id: 1 }], ...names })
  await flush(OTHER, [{ api_key: 'early', requests: 1 }])
  for (let from = 0; from < LISTED; from += PART) {
    const names = Array.from({ length: PART }, (_, i) => `n-${from + i}`)
    await flush(
      FULL,
      names.map((api_key) => ({ api_key, requests: 1 })),
    )
    // A read waits for each part, so that none has to wait for all of them.
    await service.read('/admin/apikey-stats/summary')
  }
  await flush(FULL, [
    { api_key: 'late-1', requests: 5 },
    { api_key: 'n-1', requests: 1 },
  ])
  await flush(FULL, [
    { api_key: 'late-1', requests: 7 },
    { api_key: 'late-2', requests: 1 },
  ])
  // The list has 100,000 names of all shards, so the last one of this shard is not in it either.
  expect(await others()).toEqual({ requests: 14, flushes: 4 })
})

test('a key that is not listed is adopted from the log, once', async () => {
  expect(await adopt('late-1')).toBe(12)
  expect(await totalOf('late-1')).toBe(12)
  expect(await others()).toEqual({ requests: 2, flushes: 2 })
  expect(await adopt('late-1')).toBe(0)
  await service.fetch('admin', '/admin/api-keys/ext:late-1', { method: 'DELETE' })
  await flush(FULL, [{ api_key: 'late-1', requests: 3 }])
  expect(await adopt('late-1')).toBe(3)
  expect(await totalOf('late-1')).toBe(15)
})

test('of two instances that have read the log for an adoption at once, one counts', async () => {
  await flush(FULL, [{ api_key: 'late-3', requests: 4 }])
  // Then adoptions append nothing else.
  await service.putCatalog({ api_keys: [{ external_id: 'late-3' }] })
  const other = await startTestService({ database: service.database, intervals })
  const lock = await lockShards(service.database, [0])
  const adoptions = [adopt('late-3'), adopt('late-3', other)]
  await untilWaiting(service.database.owner, 2)
  await lock.release()
  expect((await Promise.all(adoptions)).sort()).toEqual([0, 4])
  await other.stop()
  expect(await totalOf('late-3')).toBe(4)
})

test('a reversed flush is left out of what is read from the log', async () => {
  const twice = await flush(FULL, [
    { api_key: 'late-2', requests: 1 },
    { api_key_id: 1, requests: 1 },
  ])
  await reverse(twice)
  expect(await others()).toEqual({ requests: 2, flushes: 2 })
  expect(await adopt('late-2')).toBe(1)
  expect(await others()).toEqual({ requests: 1, flushes: 1 })
})

test('a reversal in the shard that does not list a key takes nothing from the others', async () => {
  const reversed = await flush(FULL, [
    { api_key: 'x', requests: 5 },
    { api_key_id: 1, requests: 1 },
  ])
  await flush(OTHER, [{ api_key: 'x', requests: 7 }])
  await reverse(reversed)
  expect(await adopt('x')).toBe(7)
})

test('neither does an adoption, if the key is retired and named again', async () => {
  const details = { dimensions: { model: 'm' }, measures: { cost: 20 } }
  await flush(FULL, [{ api_key: 'y', requests: 2, ...details }])
  await flush(OTHER, [{ api_key: 'y', requests: 3, measures: { cost: 1 } }])
  expect(await adopt('y')).toBe(5)
  await service.fetch('admin', '/admin/api-keys/ext:y', { method: 'DELETE' })
  await flush(OTHER, [{ api_key: 'y', requests: 4 }])
  await flush(FULL, [{ api_key: 'y', requests: 8 }])
  expect(await adopt('y')).toBe(12)
  expect(await adopt('y')).toBe(0)
  const { measures } = await service.read<{ measures: object }>('/admin/api-keys/ext:y')
  expect(measures).toEqual({ cost: 21 })
})

test('what a shard has listed before the other was full is taken too', async () => {
  expect(await adopt('early')).toBe(1)
  expect(await adopt('n-7')).toBe(1)
})

test('all of this is recomputed from the log as it stands', async () => {
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})

test('an audit adds up what the acts took', async () => {
  await untilSigned(service)
  const { findings, report } = await auditService(service)
  expect(findings).toEqual([])
  expect(report).toMatchObject({ acts: 11, missedActs: 0 })
})
