import { expect, test } from 'bun:test'
import { verify } from '../proofs/integrity/history.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { lockShards, positionOf, untilWaiting } from '../support/events.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'

// A shard keeps the first 100,000 unknown keys of each kind apart. The others are one row, and to
// adopt them reads the log.

const LISTED = 100_000
const PART = 10_000

// Appends wait for a lock for longer than a worker takes to start.
const intervals = { database: { ...TEST_INTERVALS.database, lockTimeoutMs: 60_000 } }
const service = useService({ intervals })

type Page = { items: unknown[]; other: { requests: number; flushes: number } }

const flush = async (keys: object[], key: string) => {
  const response = await service.fetch('dp', '/internal/apikey-stats/flush', {
    method: 'POST',
    headers: { 'idempotency-key': key },
    body: JSON.stringify({ keys }),
  })
  expect(response.status).toBe(200)
  return positionOf(response)
}
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
  for (let from = 0; from < LISTED; from += PART) {
    const names = Array.from({ length: PART }, (_, i) => `n-${from + i}`)
    await flush(
      names.map((api_key) => ({ api_key, requests: 1 })),
      `from-${from}`,
    )
    // A read waits for each part, so that none has to wait for all of them.
    await service.read('/admin/apikey-stats/summary')
  }
  await flush(
    [
      { api_key: 'late-1', requests: 5 },
      { api_key: 'n-1', requests: 1 },
    ],
    'late',
  )
  await flush(
    [
      { api_key: 'late-1', requests: 7 },
      { api_key: 'late-2', requests: 1 },
    ],
    'later',
  )
  expect(await others()).toEqual({ requests: 13, flushes: 3 })
})

test('a key that is not listed is adopted from the log, once', async () => {
  expect(await adopt('late-1')).toBe(12)
  expect(await totalOf('late-1')).toBe(12)
  expect(await others()).toEqual({ requests: 1, flushes: 1 })
  expect(await adopt('late-1')).toBe(0)
  await service.fetch('admin', '/admin/api-keys/ext:late-1', { method: 'DELETE' })
  await flush([{ api_key: 'late-1', requests: 3 }], 'retired')
  expect(await adopt('late-1')).toBe(3)
  expect(await totalOf('late-1')).toBe(15)
})

test('of two instances that have read the log for an adoption at once, one counts', async () => {
  await flush([{ api_key: 'late-3', requests: 4 }], 'at-once')
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
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  const twice = await flush(
    [
      { api_key: 'late-2', requests: 1 },
      { api_key_id: 1, requests: 1 },
    ],
    'twice',
  )
  const response = await service.fetch('admin', '/admin/corrections', {
    method: 'POST',
    body: JSON.stringify({ reverse: twice, reason: 'posted twice' }),
  })
  expect(response.status).toBe(201)
  expect(await others()).toEqual({ requests: 1, flushes: 1 })
  expect(await adopt('late-2')).toBe(1)
  expect(await others()).toEqual({ requests: 0, flushes: 0 })
})

test('all of this is recomputed from the log as it stands', async () => {
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
})

test('an audit adds up what the adoptions took', async () => {
  await untilSigned(service)
  const { findings, report } = await auditService(service)
  expect(findings).toEqual([])
  expect(report).toMatchObject({ acts: 5, missedActs: 0 })
})
