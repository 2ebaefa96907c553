import { afterAll, beforeAll, expect, test } from 'bun:test'
import { rename, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Origin } from '../../src/proofs/transparency/origin.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { makeOrigin } from '../support/origin.ts'
import { expectProblem } from '../support/problem.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// A service needs the archive for what has left the database, and for nothing else.

const FLUSH = '/internal/apikey-stats/flush'
const archive = await makeArchive()
const folder = fileURLToPath(archive.url!)
let service: TestService
let own: Awaited<ReturnType<typeof makeOrigin>>

beforeAll(async () => {
  const database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  own = await makeOrigin()
  service = await start(own.origin, database)
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 80; i++) expect((await post()).status).toBe(200)
  await service.read('/admin/usage')
  await archiveFull(database, 0, archive)
})

afterAll(async () => {
  await service.end()
  await own.remove()
  await archive.remove()
})

const start = (origin: Origin, database = service.database) =>
  startTestService({ database, shards: 1, archive, origin })

const post = () => service.post(FLUSH, { keys: [{ api_key_id: 1, requests: 1 }] })

test('a service starts, counts and signs while the archive can not be read', async () => {
  await service.stop()
  await rename(folder, `${folder}-away`)
  await rm(archive.cacheFolder, { recursive: true, force: true })
  service = await start(own.origin)
  const posted = await post()
  expect(posted.status).toBe(200)
  const { total_requests: total } = await service.read<{ total_requests: number }>(
    '/admin/api-keys/1',
  )
  expect(total).toBe(81)
  const position = posted.headers.get('tallybook-position')
  expect((await service.post('/internal/receipts', { position })).status).toBe(200)
  const refused = await service.fetch('auditor', '/audit/events/0/5')
  await expectProblem(refused, 503, 'archive unavailable')
  await rename(`${folder}-away`, folder)
  await until(async () => (await service.fetch('auditor', '/audit/events/0/5')).status === 200)
})
