import { afterAll, beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { distinct, readCounted } from '../support/dimensions.ts'
import { type TestService, useInstances } from '../support/service.ts'
import { until } from '../support/until.ts'
import { watchWorkers } from '../support/workers.ts'

// The limits on dimensions, over both threads of two instances.

const FLUSH = '/internal/apikey-stats/flush'
/** More bytes than a body that the main thread parses. */
const LARGE = 300 * 1024
const LIMIT = 200

const lines: { msg: string; values: number }[] = []
const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) })
const workers = watchWorkers()
const [one, other] = useInstances({ shards: 1, dimensionValues: LIMIT, logger })
afterAll(() => workers.restore())

beforeAll(async () => {
  await one.putCatalog({
    api_keys: [{ id: 1 }, { id: 2 }],
    dimensions: [{ name: 'model' }, { name: 'user' }, { name: 'team' }],
  })
})

const list = (length: number, name: string) => Array.from({ length }, (_, i) => `${name}-${i}`)

async function post(
  through: TestService,
  entries: object[],
  { id = 1, size = 0 } = {},
): Promise<Response> {
  const keys = entries.map((dimensions) => ({ api_key_id: id, requests: 1, dimensions }))
  const response = await through.post(FLUSH, JSON.stringify({ keys }).padEnd(size))
  expect(response.status).toBe(200)
  return response
}

/** Returns the number of values that all instances have counted as `other`. */
async function readOthers(): Promise<number> {
  const texts = await Promise.all(
    [one, other].map(async ({ url }) => (await fetch(`${url}/metrics`)).text()),
  )
  const counts = texts.map((text) => /^tallybook_dimension_others_total (\d+)$/m.exec(text)![1])
  return counts.reduce((sum, count) => sum + Number(count), 0)
}

test('the values of a dimension are limited over both threads of all instances', async () => {
  const posts = list(LIMIT + 50, 'model').map((model, i) =>
    post(i % 2 ? one : other, [{ model }, {}], { size: i % 50 < 4 ? LARGE : 0 }),
  )
  await Promise.all(posts)
  const entries = await readCounted(one.database.owner)
  const models = entries.flatMap(({ counted }) => counted.model ?? [])
  expect(distinct(models)).toHaveLength(LIMIT + 1)
  expect(models.filter((model) => model === 'other')).toHaveLength(50)
  await until(async () => (await readOthers()) === 50)
  // Each instance warns once.
  const warnings = lines.filter(({ msg }) => msg.includes('TALLYBOOK_DIMENSION_VALUES'))
  expect([1, 2]).toContain(warnings.length)
})

test('a key counts 10,000 combinations on a day, and others as `other`', async () => {
  const users = list(120, 'user')
  const combinations = list(100, 'team').flatMap((team) => users.map((user) => ({ team, user })))
  // The worker appends this flush; the same combinations then arrive through the other instance.
  await post(one, combinations, { id: 2 })
  for (const entries of [combinations.slice(0, 1_000), combinations.slice(-1_000)]) {
    await post(other, entries, { id: 2 })
  }
  const entries = (await readCounted(one.database.owner)).filter(({ posted }) => posted.team)
  expect(entries).toHaveLength(combinations.length + 2_000)
  const others = entries.filter(({ counted }) => counted.team === 'other')
  expect(others).toHaveLength(combinations.length - 10_000 + 1_000)
  expect(distinct(others.map(({ counted }) => counted))).toEqual([
    '{"team":"other","user":"other"}',
  ])
  expect(distinct(entries.map(({ counted }) => counted))).toHaveLength(10_001)
}, 60_000)
