import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtemp, rename, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FaultServer } from '../../clients/conformance/fault-server.ts'
import { type ClientOptions, TallybookClient } from '../../clients/typescript/src/index.ts'
import { startTestService, TOKENS, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// What a client does besides flushes: quotas, its shadow, its lock, and its input.

const service = useService()

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tallybook-clients-'))
  await service.putCatalog({
    api_keys: [{ id: 7, external_id: 'sk-9f' }],
    keys: [{ token_hash: 'alice', quota_limit: 100 }],
    dimensions: [{ name: 'model' }],
    measures: [{ name: 'input_tokens' }],
  })
})

afterAll(() => rm(folder, { recursive: true }))

const open = (spool: string, options: Partial<ClientOptions> = {}) =>
  TallybookClient.open({
    url: service.url,
    token: TOKENS.dp,
    spool: join(folder, spool),
    sealIntervalMs: 3_600_000,
    backoff: { firstMs: 2, longestMs: 10 },
    ...options,
  })

test('isExhausted follows the quotas', async () => {
  const client = await open('quotas', { followExhausted: true })
  expect(client.isExhausted('alice')).toBe(false)
  client.recordToken('alice', { requests: 1, tokens: 100, lastAccessedAt: 1_700_000_000 })
  await client.seal()
  await until(() => client.isExhausted('alice'))
  await service.putCatalog({ keys: [{ token_hash: 'alice', quota_limit: 200 }] })
  await until(() => !client.isExhausted('alice'))
  await client.close()
})

test('what the service would refuse is dropped, and the rest of the flush counts', async () => {
  const client = await open('input')
  const never = undefined as never
  for (const key of [0, -1, 1.5, 2 ** 53, '', ' a', 'a\0', '\ud800', never, null as never])
    client.record(key, { requests: 1 })
  for (const counts of [
    { requests: -1 },
    { requests: 0.5 },
    { requests: 1, successRequests: 2 },
    { requests: 1, dimensions: { Model: 'a' } },
    { requests: 1, dimensions: { model: '' } },
    { requests: 1, dimensions: { model: 'other' } },
    { requests: 1, measures: { input_tokens: -1 } },
    { requests: 1, measures: { input_tokens: 2 ** 53 } },
    never,
    null as never,
  ])
    client.record(7, counts)
  client.recordToken('alice', { requests: 1, lastAccessedAt: 1e15 })
  client.record('sk-9f', {
    requests: 2,
    successRequests: 1,
    dimensions: { model: 'gpt-5' },
    measures: { input_tokens: 12 },
  })
  client.record(7, { requests: 2 ** 53 - 1 - 1_000 })
  client.record(7, { requests: 2_000 })
  expect(client.metrics()).toContain('\ntallybook_client_dropped_total 22\n')
  expect(await client.close()).toEqual({ flushes: 0, unsealed: 0, rejected: 0 })
  client.record(7, { requests: 1 })
  expect(client.metrics()).toContain('\ntallybook_client_dropped_total 23\n')
  const row = await service.read<{ total_requests: number }>('/admin/api-keys/7')
  expect(row).toMatchObject({ total_requests: 2 ** 53 - 999, measures: { input_tokens: 12 } })
})

test('a spool belongs to one client at a time', async () => {
  const client = await open('lock')
  const lock = Bun.file(join(folder, 'lock', 'lock'))
  const held = await lock.json()
  // A client of this process, and one of another process that lives.
  for (const pid of [process.pid, process.ppid]) {
    await Bun.write(lock, JSON.stringify({ ...held, pid }))
    await expect(open('lock')).rejects.toThrow('Another client uses the spool')
  }
  await Bun.write(lock, JSON.stringify(held))
  await client.close()
  // The lock of a process with the same id, in a container that was started again.
  await Bun.write(lock, JSON.stringify(held))
  await (await open('lock')).close()
  // A lock that a power failure has torn: its age decides.
  for (const torn of ['', 'null', '{"pid":']) {
    await Bun.write(lock, torn)
    await expect(open('lock')).rejects.toThrow('Another client uses the spool')
    await utimes(lock.name!, 0, 0)
    await (await open('lock')).close()
  }
})

test('a shadow gets each flush, and its failures never matter', async () => {
  const other = await startTestService()
  const faults = new FaultServer(other.url)
  await faults.listen()
  const client = await open('shadow', { shadow: { url: faults.url, token: TOKENS.dp } })
  faults.next.push('none', 'hang', 'status 401', 'drop')
  for (let i = 0; i < 4; i++) {
    client.record(7, { requests: 1 })
    await client.seal()
    await client.drained()
  }
  await until(() => faults.arrived.length === 4)
  expect(await client.close()).toEqual({ flushes: 0, unsealed: 0, rejected: 0 })
  expect(new Set(faults.arrived.map(({ sequence }) => sequence)).size).toBeGreaterThan(3)
  await faults.close()
  await other.end()
})

test('counts that the disk refuses return to memory, and their number is used again', async () => {
  const errors: unknown[] = []
  const client = await open('disk', { instance: 'proxy-3', onError: (error) => errors.push(error) })
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/7')
  client.record(7, { requests: 1 })
  await rename(join(folder, 'disk/sealed'), join(folder, 'disk/away'))
  expect(await client.seal()).toBe(false)
  expect(errors).toHaveLength(1)
  expect(client.metrics()).toContain('\ntallybook_client_accumulators 1\n')
  client.record(7, { requests: 2 })
  await rename(join(folder, 'disk/away'), join(folder, 'disk/sealed'))
  expect(await client.seal()).toBe(true)
  expect(await client.close()).toEqual({ flushes: 0, unsealed: 0, rejected: 0 })
  const row = await service.read('/admin/api-keys/7')
  expect(row).toMatchObject({ total_requests: total_requests + 3 })
  expect(client.metrics()).toContain('\ntallybook_client_sealed_total 2\n')
})

test('counts wait while the service is restarted', async () => {
  const first = await startTestService()
  const { database } = first
  const port = Number(new URL(first.url).port)
  const client = await open('restart', { url: first.url, instance: 'proxy-2' })
  await first.putCatalog({ api_keys: [{ id: 7 }] })
  client.record(7, { requests: 1 })
  await client.seal()
  await client.drained()
  await first.stop()
  client.record(7, { requests: 2 })
  await client.seal()
  const second = await startTestService({ database, port })
  await client.drained()
  expect(await second.read('/admin/api-keys/7')).toMatchObject({ total_requests: 3 })
  await client.close()
  await second.end()
})
