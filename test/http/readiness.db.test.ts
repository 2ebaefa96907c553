import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Writable } from 'node:stream'
import pino from 'pino'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// GET /health/ready: the service would accept a flush now.

const FLUSH = { keys: [{ api_key_id: 1, requests: 1 }] }

const lines: { msg: string; code?: string; reason?: string; shards?: number[] }[] = []
const output = new Writable({
  write(chunk, _, done) {
    lines.push(JSON.parse(String(chunk)))
    done()
  },
})

let service: TestService
beforeAll(async () => {
  service = await startTestService({ shards: 1, logger: pino({ level: 'info' }, output) })
})
afterAll(() => service.end())

const post = async () => (await service.post('/internal/apikey-stats/flush', FLUSH)).status

async function readReady() {
  const response = await service.fetch(null, '/health/ready')
  const { error } = (await response.json()) as { error?: string }
  return [response.status, error]
}

test('the service is ready while reads wait, and accepts flushes and new tokens', async () => {
  const lock = await service.database.owner.reserve()
  await lock`begin`
  await lock`lock table checkpoints, api_keys in access exclusive mode`
  let answered = 0
  const reads = Array.from({ length: 24 }, async () => {
    const path = '/admin/api-keys/1?consistency=eventual'
    await (await service.fetch('admin', path)).body?.cancel()
    answered++
  })
  expect(await readReady()).toEqual([200, undefined])
  const made = await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: '{"name":"reader","role":"auditor"}',
  })
  expect(made.status).toBe(201)
  expect(await post()).toBe(200)
  expect(answered).toBe(0)
  await lock`rollback`
  lock.release()
  await Promise.all(reads)
})

test('the service is not ready while the log cannot grow, and logs why once', async () => {
  const { owner } = service.database
  await owner.unsafe(`
    create function refuse_growth() returns trigger language plpgsql as $$ begin
      raise exception 'could not extend file' using errcode = '53100';
    end $$`)
  await owner.unsafe(`
    create trigger refuse_growth before insert on events
      for each row execute function refuse_growth()`)
  expect(await readReady()).toEqual([200, undefined])
  for (let i = 0; i < 3; i++) expect(await post()).toBe(503)
  expect(await readReady()).toEqual([503, 'log unavailable'])
  const refusals = () => lines.filter(({ msg }) => msg === 'log: flushes are refused')
  expect(refusals()).toMatchObject([
    { shards: [0], code: '53100', reason: 'could not extend file' },
  ])

  await owner`drop trigger refuse_growth on events`
  await until(async () => (await readReady())[0] === 200)
  expect(await post()).toBe(200)
  expect(lines.some(({ msg }) => msg === 'log: flushes are accepted again')).toBe(true)
  const [row] = await owner`select count(*)::integer as probes from events where type = 'Probed'`
  expect(row!.probes).toBe(0)
})
