import { afterAll, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import type { TestService } from '../support/service.ts'
import { endAll, openResharded, reshard, start } from './resharding.ts'

// What was reversed stays reversed, and what is open stays open, however often a log is resharded.

afterAll(endAll)

const IDS = [1, 2, 3, 4]

const flush = async (service: TestService, id: number) =>
  positionOf(
    await service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: id, requests: 5 }] }),
  )
const reverse = (service: TestService, position: string) =>
  service.fetch('admin', '/admin/corrections', {
    method: 'POST',
    body: JSON.stringify({ reverse: position, reason: 'posted twice' }),
  })
const open = (service: TestService, key: string) =>
  service.fetch('admin', '/admin/balances', {
    method: 'POST',
    headers: { 'idempotency-key': key },
    body: JSON.stringify({
      ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
      api_keys: [{ id: 1, total_requests: 100, success_requests: 90 }],
    }),
  })

/** Finds the place of the flush of an API key now. */
async function findFlush(service: TestService, id: number): Promise<string> {
  const { items } = await service.read<{
    items: { shard: number; position: number; type: string }[]
  }>(`/audit/explain?api_key_id=${id}`)
  const { shard, position } = items.find(({ type }) => type === 'ApiKeyStatsFlushed')!
  return `${shard}/${position}`
}

async function expectReversed(
  service: TestService,
  archive: string,
  ids: readonly number[],
): Promise<void> {
  for (const id of ids) {
    const refused = await reverse(service, await findFlush(service, id))
    await expectProblem(refused, 409, 'already reversed')
  }
  await expectProblem(await open(service, crypto.randomUUID()), 409, 'already open')
  const { items } = await service.read<{ items: { reversed: string }[] }>('/admin/corrections')
  const places = await Promise.all(ids.map((id) => findFlush(service, id)))
  expect(items.map(({ reversed }) => reversed).sort()).toEqual(places.sort())
  const report = await verifyDatabase(service.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
  })
  expect(report.first).toEqual([])
  await untilSigned(service)
  const resharded = await openResharded(archive)
  const audited = await auditService(service, { resharded })
  expect(audited.findings).toEqual([])
  expect(audited.report).toMatchObject({ acts: ids.length, missedActs: 0 })
}

test('from 2 to 3 to 1 shards, each reversal still names what it reversed', async () => {
  const first = await start('one.example.com', 2)
  await first.service.putCatalog({ api_keys: IDS.map((id) => ({ id })) })
  for (const id of IDS) await flush(first.service, id)
  expect((await open(first.service, 'opened')).status).toBe(201)
  for (const id of [1, 2]) {
    expect((await reverse(first.service, await findFlush(first.service, id))).status).toBe(201)
  }
  const toThree = await reshard(first, 3)
  const second = await start('two.example.com', 3, toThree.database)
  await expectReversed(second.service, toThree.archive, [1, 2])
  expect((await reverse(second.service, await findFlush(second.service, 3))).status).toBe(201)
  const toOne = await reshard(second, 1)
  const third = await start('three.example.com', 1, toOne.database)
  await expectReversed(third.service, toOne.archive, [1, 2, 3])
  expect((await reverse(third.service, await findFlush(third.service, 4))).status).toBe(201)
  for (const id of IDS.slice(1)) {
    const row = await third.service.read<{ total_requests: number }>(`/admin/api-keys/${id}`)
    expect(row.total_requests).toBe(0)
  }
})
