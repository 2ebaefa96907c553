import { afterAll, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { importTestArchive, problemsOf } from '../support/archive.ts'
import { positionOf } from '../support/events.ts'
import type { TestService } from '../support/service.ts'
import {
  endAll,
  exportSigned,
  makeDatabase,
  openResharded,
  readLog,
  reshard,
  start,
} from './resharding.ts'

// Dimensions, measures and times of flushes survive an archive, and another number of shards.

afterAll(endAll)

const HOUR_S = 3_600
const now = Math.floor(Date.now() / 1_000)
const range = (() => {
  const day = (ms: number) => new Date(ms - (ms % 86_400_000)).toISOString()
  return `from=${day((now - 48 * HOUR_S) * 1_000)}&to=${day((now + 48 * HOUR_S) * 1_000)}`
})()

const READS = [
  `/admin/usage?bucket=hour&${range}`,
  `/admin/usage?group_by=model,status&${range}`,
  `/admin/usage?group_by=model&api_key_id=7&${range}`,
  `/admin/breakdown?by=model&${range}`,
  `/admin/breakdown?by=model&group_id=1&${range}`,
  `/admin/breakdown?by=status&token_hash=k&${range}`,
  '/admin/provider-groups?',
  '/admin/api-keys?',
  '/admin/keys?',
  '/admin/measures?ended=true',
  '/admin/dimensions?ended=true',
]

const readAll = (service: TestService) =>
  Promise.all(READS.map(async (path) => ({ path, body: await service.read(path) })))

/** Writes events of every version that flushes with dimensions, measures or a time need. */
async function fill(service: TestService): Promise<void> {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [7, 8].map((id) => ({ id, group_id: 1 })),
    keys: [{ token_hash: 'k', quota_limit: 1_000 }],
    dimensions: [{ name: 'model' }, { name: 'status' }],
    measures: [{ name: 'cost', unit: 'USD/1e6' }, { name: 'tokens' }],
  })
  const post = (path: string, keys: object[], counted_at?: number) =>
    service.post(path, { counted_at, keys })
  const apiKey = (id: number, requests: number, more: object = {}) => ({
    ...{ api_key_id: id, requests, success_requests: 1, ...more },
  })
  const used = (model: string, cost: number) => ({
    ...{ dimensions: { model, status: '200' }, measures: { cost, tokens: 2 ** 53 - 1 } },
  })
  const [apiKeys, keys] = ['/internal/apikey-stats/flush', '/internal/stats/flush']
  const first = await post(apiKeys, [apiKey(7, 5, used('gpt-5', 30)), apiKey(8, 2)])
  await post(apiKeys, [apiKey(7, 4, used('o4', 7)), apiKey(8, 3, used('gpt-5', 1))], now - HOUR_S)
  await post(apiKeys, [apiKey(7, 9)], now - 30 * HOUR_S)
  await post(keys, [{ token_hash: 'k', requests: 1, tokens: 12, ...used('o4', 5) }])
  await post(keys, [{ token_hash: 'k', requests: 1, tokens: 3 }], now - 30 * HOUR_S)
  const late = await post(apiKeys, [apiKey(8, 6, used('o4', 4))], now - 2 * HOUR_S)
  for (const posted of [first, late]) {
    await service.act('/admin/corrections', { reverse: positionOf(posted), reason: 'twice' })
  }
  await service.fetch('admin', '/admin/measures/tokens', { method: 'DELETE' })
}

test('an archive of them can be imported and resharded, and every read is the same', async () => {
  const old = await start('old.example.com', 1)
  await fill(old.service)
  const expected = await readAll(old.service)
  await old.service.fetch('admin', '/admin/attestations', { method: 'POST' })
  await untilSigned(old.service)
  const versions = (await readLog(old.service.database)).map(
    ({ type, version }) => `${type} ${version}`,
  )
  expect(new Set(versions)).toEqual(
    new Set([
      ...['ApiKeyStatsFlushed 4', 'ApiKeyStatsFlushed 5', 'KeyStatsFlushed 2', 'KeyStatsFlushed 3'],
      ...['CatalogChanged 3', 'EventReversed 3', 'ProjectionAttested 4'],
    ]),
  )

  const archive = await exportSigned(old)
  expect(await problemsOf(archive)).toEqual([])
  const imported = await makeDatabase(1)
  expect(await importTestArchive(imported, archive)).toBe(null)
  const again = await start('old.example.com', 1, imported)
  expect(await readAll(again.service)).toEqual(expected)

  const moved = await reshard(old, 3)
  const { service } = await start('new.example.com', 3, moved.database)
  expect(await readAll(service)).toEqual(expected)
  const report = await verifyDatabase(service.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  expect(report.first).toEqual([])
  await untilSigned(service)
  const audited = await auditService(service, { resharded: await openResharded(moved.archive) })
  expect(audited.findings).toEqual([])
})
