import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Report, verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { logArchiveOf } from '../../src/retention/log-archive.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

const FLUSH = '/internal/apikey-stats/flush'
const archive = await makeArchive()
let service: TestService

beforeAll(async () => {
  const database = await createDatabase({ shards: TEST_SHARDS })
  await useSmallSegments(database, TEST_SHARDS)
  service = await startTestService({ database, shards: TEST_SHARDS, archive })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 200 * TEST_SHARDS; i++) {
    const keys = [{ api_key_id: 1, requests: 1 }]
    await service.post(FLUSH, { keys }, { 'idempotency-key': `key-${i}` })
  }
  await service.read('/admin/usage')
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await archiveFull(database, shard, archive)
  }
})

afterAll(async () => {
  await service.end()
  await archive.remove()
})

const verify = (): Promise<Report> =>
  verifyDatabase(service.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
    archive: logArchiveOf(service.database.address, archive),
  })

test('a database of which segments have left has no problems', async () => {
  const { problems, first } = await verify()
  expect(
    first.map(({ check, at, expected, found }) => `${at} ${check} ${expected} ${found}`),
  ).toEqual([])
  expect(problems).toBe(0)
})
