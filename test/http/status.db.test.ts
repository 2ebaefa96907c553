import { expect, test } from 'bun:test'
import { version } from '../../package.json'
import { expectProblem } from '../support/problem.ts'
import { startTestService, useService } from '../support/service.ts'

// GET /admin/status: the service, its database and its instances.

type Status = {
  version: string
  instance: string
  started_at: string
  shards: number
  queue_length: number
  log_ahead_seconds: number | null
  signed: number[]
  database: { version: string; size_bytes: number; connections: number; max_connections: number }
  replicas: unknown[]
  instances: { id: string; live: boolean; started_at: string; owned_shards: number[] }[]
}

const service = useService()
const before = Date.now()

const readStatus = (through = service) => through.read<Status>('/admin/status')

test('the status describes the service and its database', async () => {
  const [row] = await service.database.owner`
    select current_setting('server_version') as version,
      current_setting('max_connections')::integer as max_connections`
  const status = await readStatus()
  expect(status).toEqual({
    version,
    instance: expect.any(String),
    started_at: expect.any(String),
    shards: service.shards,
    queue_length: 0,
    log_ahead_seconds: 0,
    signed: Array(service.shards).fill(0),
    registration: null,
    rules: { crossed: 0 },
    webhooks: { pending: 0, given_up: 0, failing: 0 },
    archive: {
      segments: { open: service.shards, full: 0, written: 0, leaving: 0, archived: 0 },
      ...{ file_bytes: 0, failing: null, unreadable: [] },
    },
    sources: { silent: 0, missing_flushes: 0 },
    database: {
      version: row!.version.split(' ')[0],
      size_bytes: expect.any(Number),
      connections: expect.any(Number),
      max_connections: row!.max_connections,
    },
    replicas: [],
    instances: [
      {
        id: status.instance,
        version,
        started_at: status.started_at,
        seen_at: expect.any(String),
        live: true,
        owned_shards: Array.from({ length: service.shards }, (_, shard) => shard),
        tends: Array.from({ length: service.shards }, (_, shard) => shard),
      },
    ],
  } as never)
  const startedAt = Date.parse(status.started_at)
  expect(startedAt).toBeGreaterThanOrEqual(before)
  expect(startedAt).toBeLessThanOrEqual(Date.now())
  // An empty database has some MB; this test has a connection, and the service several.
  expect(status.database.size_bytes).toBeGreaterThan(1_000_000)
  expect(status.database.connections).toBeGreaterThan(1)
  expect(status.database.connections).toBeLessThanOrEqual(row!.max_connections)
})

test('the status is that of the instance that answers', async () => {
  const other = await startTestService({ database: service.database })
  try {
    const [one, two] = [await readStatus(), await readStatus(other)]
    expect(two.started_at > one.started_at).toBe(true)
    expect((await readStatus()).started_at).toBe(one.started_at)
    // Each lists both, the older first.
    for (const { instances } of [await readStatus(), two]) {
      expect(instances.map(({ id }) => id)).toEqual([one.instance, two.instance])
    }
  } finally {
    await other.stop()
  }
})

test('the signed sizes grow with the log', async () => {
  const append = { keys: [{ token_hash: 'a', requests: 1 }] }
  const response = await service.post('/internal/stats/flush', append)
  const [shard, position] = response.headers.get('tallybook-position')!.split('/').map(Number)
  // This waits until the event is signed.
  const receipt = await service.post('/internal/receipts', { position: `${shard}/${position}` })
  expect(receipt.status).toBe(200)
  const { signed } = await readStatus()
  expect(signed[shard!]).toBe(position! + 1)
})

test('a query parameter is refused', async () => {
  const response = await service.fetch('auditor', '/admin/status?shard=0')
  await expectProblem(response, 400, 'invalid request')
})
