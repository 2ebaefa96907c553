import { expect, test } from 'bun:test'
import { startProxy } from '../support/proxy.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, useService } from '../support/service.ts'

const FLUSH = '/internal/apikey-stats/flush'
const service = useService({ bodyLimitBytes: 1_024, unknownTokens: 3 })

/** Returns the samples of a scrape by name and labels. They are at most a second old. */
async function scrape(url = service.url): Promise<Map<string, string>> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => line.split(/ (?=\S+$)/) as [string, string]))
}

async function waitFor(
  holds: (samples: Map<string, string>) => boolean,
  url?: string,
): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; await Bun.sleep(50)) {
    if (holds(await scrape(url))) return
  }
  throw new Error(`not within a minute: ${JSON.stringify([...(await scrape(url))])}`)
}

const outcome = (name: string) => `tallybook_flushes_total{outcome="${name}"}`

test('every outcome of a flush has a series before the first flush', async () => {
  const samples = await scrape()
  for (const name of [
    ...['appended', 'replayed', 'rejected', 'unauthorized', 'forbidden', 'too_large'],
    ...['key_reused', 'too_many_requests', 'unavailable', 'failed'],
  ]) {
    expect([name, samples.get(outcome(name))]).toEqual([name, '0'])
  }
})

test('an unknown value has no sample', async () => {
  const samples = await scrape()
  expect([...samples.keys()].filter((name) => name.startsWith('tallybook_verify_'))).toEqual([])
  expect([...samples.values()].filter((value) => /nan/i.test(value))).toEqual([])
})

test('no metric walks the heap', async () => {
  const names = [...(await scrape()).keys()].filter((name) => /heap|active/.test(name))
  expect(names).toEqual([])
})

test('each flush is counted by its outcome', async () => {
  const body = JSON.stringify({ keys: [{ api_key_id: 1, requests: 1 }] })
  const post = (role: 'dp' | 'admin' | null, init: RequestInit) =>
    service.fetch(role, FLUSH, { method: 'POST', body, ...init })
  const keyed = { headers: { 'idempotency-key': 'k' } }
  expect((await post('dp', keyed)).status).toBe(200)
  expect((await post('dp', keyed)).status).toBe(200)
  expect((await post('dp', { ...keyed, body: '{"keys":[{"api_key_id":2}]}' })).status).toBe(422)
  expect((await post('dp', { body: '[' })).status).toBe(400)
  expect((await post('dp', { headers: { 'idempotency-key': 'ä' } })).status).toBe(400)
  expect((await post('dp', { body: ' '.repeat(2_000) })).status).toBe(413)
  expect((await post('admin', {})).status).toBe(403)
  expect((await post(null, {})).status).toBe(401)
  const expected = {
    ...{ appended: 1, replayed: 1, key_reused: 1, rejected: 2 },
    ...{ too_large: 1, forbidden: 1, unauthorized: 1, unavailable: 0, failed: 0 },
  }
  await waitFor((samples) =>
    Object.entries(expected).every(([name, count]) => samples.get(outcome(name)) === `${count}`),
  )
})

test('the metrics of an unavailable database have no samples, and the others remain', async () => {
  const database = await createDatabase()
  const proxy = await startProxy(database.address)
  const disconnected = await startTestService({ database, address: proxy.address })
  const lag = 'tallybook_projection_lag_events{projection="usage"}'
  await waitFor(
    (samples) =>
      samples.get('tallybook_database_up') === '1' &&
      samples.get('tallybook_shard_up{shard="0"}') === '1' &&
      samples.has(lag),
    disconnected.url,
  )
  await proxy.close()
  await waitFor(
    (samples) =>
      samples.get('tallybook_database_up') === '0' &&
      samples.get('tallybook_shard_up{shard="0"}') === '0' &&
      ![...samples.keys()].some((name) => /^tallybook_(projection|parked|log)_/.test(name)) &&
      samples.get(outcome('appended')) === '0',
    disconnected.url,
  )
  await disconnected.stop()
  await database.drop()
})
