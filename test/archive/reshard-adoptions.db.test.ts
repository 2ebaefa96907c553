import { afterAll, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { auditArchive, auditService, untilSigned } from '../proofs/verifier/audited.ts'
import type { TestService } from '../support/service.ts'
import { endAll, openResharded, reshard, start } from './resharding.ts'

// What an adoption has counted stays counted once, and a reversal takes it back, however often a
// log is resharded.

afterAll(endAll)

const flush = async (service: TestService, requests: number, ...names: string[]) => {
  const keys = names.map((api_key) => ({ api_key, requests }))
  expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
}
const post = (service: TestService, path: string, body: object) =>
  service.fetch('admin', path, { method: 'POST', body: JSON.stringify(body) })
const adopt = async (service: TestService, external_id: string) => {
  const body = { api_keys: [{ external_id, group_id: 1 }] }
  const answer = await post(service, '/admin/unknown-keys/adopt', body)
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { requests: number }).requests
}
const totals = async (service: TestService) => {
  const read = async (path: string) =>
    (await service.read<{ total_requests: number }>(path)).total_requests
  return {
    group: await read('/admin/provider-groups/1'),
    a: await read('/admin/api-keys/ext:a'),
  }
}

/** Reverses the flush in which every entry has this number of requests. */
async function reverse(service: TestService, requests: number): Promise<void> {
  const [row] = await service.database.owner<{ place: string }[]>`
    select e.shard || '/' || e.position as place
    from tallybook.events e
    where e.type = 'ApiKeyStatsFlushed' and e.payload->'requests'->>0 = ${String(requests)}`
  const body = { reverse: row!.place, reason: 'posted twice' }
  expect((await post(service, '/admin/corrections', body)).status).toBe(201)
}

/** Verifies the database, and audits the log with the archive that it was resharded from. */
async function expectVerified(service: TestService, archive: string, acts: number): Promise<void> {
  const report = await verifyDatabase(service.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  expect(report.first).toEqual([])
  await untilSigned(service)
  const resharded = await openResharded(archive)
  const audited = await auditService(service, { resharded })
  expect(audited.findings).toEqual([])
  expect(audited.report).toMatchObject({ acts, missedActs: 0 })
}

test('from 2 to 3 to 1 shards, adoptions still cover what they covered', async () => {
  const first = await start('one.example.com', 2)
  await first.service.putCatalog({ provider_groups: [{ id: 1 }] })
  for (const requests of [1, 2, 4, 8]) await flush(first.service, requests, 'a', 'b')
  expect(await adopt(first.service, 'a')).toBe(15)
  await reverse(first.service, 1)
  expect(await totals(first.service)).toEqual({ group: 14, a: 14 })

  const toThree = await reshard(first, 3)
  const { findings, report } = await auditArchive(toThree.archive)
  expect([findings, report.acts]).toEqual([[], 2])
  const second = await start('two.example.com', 3, toThree.database)
  expect(await totals(second.service)).toEqual({ group: 14, a: 14 })
  expect(await adopt(second.service, 'a')).toBe(0)
  await reverse(second.service, 2)
  expect(await totals(second.service)).toEqual({ group: 12, a: 12 })
  expect(await adopt(second.service, 'b')).toBe(12)
  await expectVerified(second.service, toThree.archive, 4)

  const toOne = await reshard(second, 1)
  const third = await start('three.example.com', 1, toOne.database)
  expect(await totals(third.service)).toEqual({ group: 24, a: 12 })
  await reverse(third.service, 4)
  expect(await totals(third.service)).toEqual({ group: 16, a: 8 })
  // A key that was retired is unknown again, to later flushes.
  await third.service.fetch('admin', '/admin/api-keys/ext:a', { method: 'DELETE' })
  await flush(third.service, 16, 'a')
  expect(await adopt(third.service, 'a')).toBe(16)
  await reverse(third.service, 16)
  expect(await totals(third.service)).toEqual({ group: 16, a: 8 })
  await expectVerified(third.service, toOne.archive, 7)
})
