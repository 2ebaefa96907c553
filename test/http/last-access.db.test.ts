import { expect, test } from 'bun:test'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { auditService } from '../proofs/verifier/audited.ts'
import { insertEvent } from '../support/events.ts'
import { startTestService, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The last access of a key is what the gateway sent, but at most five minutes after the flush was
// recorded: a last access only moves forward, and would stay in the future.

const FLUSH = '/internal/stats/flush'
const YEAR_10000 = 253_402_300_799
const MINUTE_MS = 60_000

const service = useService()

type Key = { last_accessed_at: string | null; request_count: number }

const readAccess = async (hash: string, through = service, query = '') => {
  const { last_accessed_at } = await through.read<Key>(`/admin/keys/${hash}${query}`)
  return last_accessed_at === null ? null : Date.parse(last_accessed_at)
}

const post = (token_hash: string, last_accessed_at: number, headers = {}) =>
  service.post(FLUSH, { keys: [{ token_hash, requests: 1, last_accessed_at }] }, headers)

const inSeconds = (ms: number) => Math.floor((Date.now() + ms) / 1_000)

async function addKeys(...hashes: string[]): Promise<void> {
  await service.putCatalog({ keys: hashes.map((token_hash) => ({ token_hash })) })
}

test.each([
  ['an hour ahead', () => inSeconds(60 * MINUTE_MS)],
  ['ten years ahead', () => inSeconds(3_650 * 1_440 * MINUTE_MS)],
  ['in the last second of 9999', () => YEAR_10000],
])('a last access %s counts as minutes after the flush was recorded', async (name, at) => {
  const hash = name.replaceAll(' ', '-')
  await addKeys(hash)
  const before = Date.now()
  expect((await post(hash, at())).status).toBe(200)
  const shown = (await readAccess(hash))!
  expect(shown).toBeGreaterThan(before)
  expect(shown).toBeLessThanOrEqual(Date.now() + 6 * MINUTE_MS)
})

test('a last access a minute ahead, or at any time in the past, counts as sent', async () => {
  await addKeys('ahead', 'past')
  const at = inSeconds(MINUTE_MS)
  await post('ahead', at)
  expect(await readAccess('ahead')).toBe(at * 1_000)
  await post('past', 1)
  expect(await readAccess('past')).toBe(1_000)
})

test('an adopted key has the last access that it would have had if it was known', async () => {
  await addKeys('known')
  const keys = ['known', 'adopted'].map((token_hash) => ({
    ...{ token_hash, requests: 1, last_accessed_at: YEAR_10000 },
  }))
  expect((await service.post(FLUSH, { keys })).status).toBe(200)
  const adoption = await service.fetch('admin', '/admin/unknown-keys/adopt', {
    method: 'POST',
    body: JSON.stringify({ keys: [{ token_hash: 'adopted' }] }),
  })
  expect(adoption.status).toBe(200)
  expect(await readAccess('adopted')).toBe(await readAccess('known'))
})

test('lists, reads of the past and a rebuild show the same last access', async () => {
  await addKeys('shown')
  const response = await post('shown', YEAR_10000)
  const shown = await readAccess('shown')
  const position = response.headers.get('tallybook-position')!
  await until(async () => {
    const past = await service.fetch('admin', `/admin/keys/shown?as_of_position=${position}`)
    return past.status === 200
  })
  expect(await readAccess('shown', service, `?as_of_position=${position}`)).toBe(shown)
  const { items } = await service.read<{ items: (Key & { token_hash: string })[] }>('/admin/keys')
  const listed = items.find(({ token_hash }) => token_hash === 'shown')!
  expect(Date.parse(listed.last_accessed_at!)).toBe(shown!)
  const readLive = async () => {
    const [row] = await service.database.owner`
      select max(generation)::integer as live from projections where projection = 'key_counters'`
    return row!.live as number
  }
  const before = await readLive()
  await service.fetch('admin', '/admin/projections/key_counters/rebuild', { method: 'POST' })
  await until(async () => (await readLive()) > before)
  expect(await readAccess('shown')).toBe(shown)
})

test('a retry is compared with the last access that was posted', async () => {
  await addKeys('retried')
  const headers = { 'idempotency-key': 'retried' }
  const at = YEAR_10000 - 1
  expect((await post('retried', at, headers)).status).toBe(200)
  const again = await post('retried', at, headers)
  expect(again.headers.get('idempotency-replayed')).toBe('true')
  expect((await post('retried', YEAR_10000, headers)).status).toBe(422)
})

test('a start repairs the last access of older code, and attestations stay true', async () => {
  const old = await startTestService({ shards: 1 })
  await old.putCatalog({ keys: [{ token_hash: 'old' }] })
  const payload =
    '{"hashes":["old"],"requests":[1],"tokens":[0],' +
    `"last_accessed_at":[${YEAR_10000}],"quota_tracked":[false]}`
  const recordedAt = new Date().toISOString()
  await insertEvent(old.database.owner, { payload, recordedAt })
  await until(async () => (await readAccess('old', old)) !== null)
  await old.stop()
  const owner = connectAsOwner(old.database.address)
  await owner`update projections set version = 1 where projection = 'key_counters'`
  await owner`update key_counters set last_accessed_at = ${YEAR_10000}`
  await owner.end()

  const now = await startTestService({ database: old.database, shards: 1 })
  await until(async () => (await readAccess('old', now))! < Date.now() + 6 * MINUTE_MS)
  expect(await readAccess('old', now)).toBe(
    Math.floor(Date.parse(recordedAt) / 1_000) * 1_000 + 5 * MINUTE_MS,
  )
  await now.fetch('admin', '/admin/attestations', { method: 'POST' })
  expect((await auditService(now)).findings).toEqual([])
  await now.stop()
  await old.database.drop()
})
