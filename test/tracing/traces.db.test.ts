import { afterAll, beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { openTracing, type Tracing } from '../../src/tracing/open.ts'
import { readTraceSettings } from '../../src/tracing/settings.ts'
import { type Collector, type ReceivedSpan, startCollector } from '../support/collector.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The traces that a collector receives: of a flush through queue, commit and fold, of reads, and of
// refused requests.

const FLUSH = '/internal/apikey-stats/flush'
const KEYS = { keys: [{ api_key_id: 7, requests: 2, success_requests: 1 }] }
const SERVER = 2
const CLIENT = 3
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

/** Opens traces with these variables, which the exporters read as well. */
async function open(env: Record<string, string>): Promise<Tracing> {
  Object.assign(process.env, env)
  try {
    return await openTracing(readTraceSettings(env)!, pino({ level: 'silent' }))
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
  }
}

let collector: Collector
let service: TestService

beforeAll(async () => {
  collector = startCollector()
  const tracing = await open({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=books',
    OTEL_SERVICE_NAME: 'usage',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  })
  service = await startTestService({ shards: 1, tracing })
  const catalog = { provider_groups: [{ id: 1, name: 'g' }], api_keys: [{ id: 7, group_id: 1 }] }
  expect((await service.putCatalog(catalog)).status).toBe(200)
})
afterAll(async () => {
  await service.end()
  collector.stop()
})

const childrenOf = (parent: ReceivedSpan) =>
  collector.spans.filter(({ parentSpanId }) => parentSpanId === parent.spanId)
const within = (child: ReceivedSpan, parent: ReceivedSpan) =>
  child.startNs >= parent.startNs && child.endNs <= parent.endNs && child.startNs <= child.endNs
const readMetric = async (name: string, from = service) => {
  const metrics = await (await from.fetch(null, '/metrics')).text()
  const line = metrics.split('\n').find((text) => text.startsWith(`tallybook_${name} `))
  return Number(line!.split(' ').at(-1))
}
const ofRequest = (id: string) =>
  until(() => collector.spans.find(({ attributes }) => attributes['tallybook.request.id'] === id))

test('a flush is one trace from its request to the fold', async () => {
  const response = await service.post(FLUSH, KEYS, {
    traceparent: `00-${TRACE}-${PARENT}-01`,
    'x-request-id': 'flush-1',
  })
  expect(response.status).toBe(200)
  const position = Number(response.headers.get('tallybook-position')!.split('/')[1])
  const request = await ofRequest('flush-1')
  expect(request).toMatchObject({
    name: `POST ${FLUSH}`,
    kind: SERVER,
    traceId: TRACE,
    parentSpanId: PARENT,
    status: 0,
    attributes: {
      'http.request.method': 'POST',
      'http.route': FLUSH,
      'http.response.status_code': 200,
      'url.path': FLUSH,
      'url.scheme': 'http',
    },
  })
  const stages = childrenOf(request).sort((a, b) => Number(a.startNs - b.startNs))
  expect(stages.map(({ name }) => name)).toEqual(['flush.validate', 'flush.queue', 'flush.commit'])
  for (const stage of stages) {
    expect(stage.traceId).toBe(TRACE)
    expect(within(stage, request)).toBe(true)
  }
  const commit = stages[2]!
  expect(commit).toMatchObject({
    kind: CLIENT,
    attributes: {
      'db.system.name': 'postgresql',
      'tallybook.batch.flushes': 1,
      'tallybook.position.first': position,
    },
  })
  await service.read('/admin/apikey-stats/summary')
  const fold = await until(() => childrenOf(commit)[0])
  expect(fold).toMatchObject({ name: 'projector.fold', traceId: TRACE })
  expect(Number(fold.attributes['tallybook.position.last'])).toBeGreaterThanOrEqual(position)
  expect(collector.resource).toMatchObject({
    'service.name': 'usage',
    'deployment.environment.name': 'test',
  })
  expect(collector.requests[0]).toMatchObject({ path: '/v1/traces', type: 'application/json' })
  expect(collector.requests[0]!.headers.get('x-tenant')).toBe('books')
})

test('flushes of one batch share its commit by links in both directions', async () => {
  // A lock on the shard's row makes the flushes after the first one wait for the next batch.
  const sent = await service.database.owner.begin(async (transaction) => {
    await transaction`select from shards where shard = 0 for update`
    const post = (id: string) =>
      service.post(FLUSH, KEYS, { 'x-request-id': id, 'idempotency-key': id })
    const first = post('a')
    await until(async () => (await readMetric('queue_length')) === 1)
    const others = ['b', 'c', 'd'].map(post)
    await until(async () => (await readMetric('queue_length')) === 4)
    return [first, ...others]
  })
  for (const response of await Promise.all(sent)) expect(response.status).toBe(200)
  const requests = await Promise.all(['b', 'c', 'd'].map(ofRequest))
  const commits = await until(() => {
    const found = requests.flatMap((request) =>
      childrenOf(request).filter(({ name }) => name === 'flush.commit'),
    )
    return found.length === 3 && found
  })
  const batch = commits.find(({ attributes }) => attributes['tallybook.batch.flushes'] === 3)!
  const others = commits.filter((commit) => commit !== batch)
  expect(others.map(({ links }) => links)).toEqual([[batch.spanId], [batch.spanId]])
  const linked = requests.filter(({ spanId }) => spanId !== batch.parentSpanId)
  expect(batch.links.toSorted()).toEqual(linked.map(({ spanId }) => spanId).toSorted())
})

test('a large flush shows the time that the worker took', async () => {
  const keys = Array.from({ length: 10_000 }, (_, i) => ({ api_key_id: i + 1, requests: 1 }))
  const response = await service.post(FLUSH, { keys }, { 'x-request-id': 'large' })
  expect(response.status).toBe(200)
  const stages = childrenOf(await ofRequest('large'))
  expect(stages.map(({ name }) => name)).toEqual(['flush.worker'])
})

test('a read shows how long it waited for the projections, and its query', async () => {
  await service.fetch('admin', '/admin/api-keys/7', { headers: { 'x-request-id': 'read-1' } })
  const request = await ofRequest('read-1')
  expect(request).toMatchObject({ name: 'GET /admin/api-keys/:id', kind: SERVER })
  const stages = childrenOf(request).sort((a, b) => Number(a.startNs - b.startNs))
  expect(stages.map(({ name }) => name)).toEqual(['read.catch_up', 'read.query'])
})

test('refused and unmatched requests have spans without stages', async () => {
  const send = (id: string, path: string) =>
    service.fetch(null, path, { headers: { 'x-request-id': id } })
  await send('refused', '/admin/keys')
  await send('unmatched', '/nothing/here')
  const refused = await ofRequest('refused')
  expect(refused).toMatchObject({ name: 'GET /admin/keys', status: 0 })
  expect(refused.attributes['http.response.status_code']).toBe(401)
  const unmatched = await ofRequest('unmatched')
  expect(unmatched).toMatchObject({ name: 'GET', attributes: { 'http.response.status_code': 404 } })
  expect(unmatched.attributes['http.route']).toBeUndefined()
  expect([...childrenOf(refused), ...childrenOf(unmatched)]).toEqual([])
})

test('of long values that a client chooses, the beginning is recorded', async () => {
  const path = `/${'a'.repeat(5_000)}`
  await service.fetch(null, path, {
    headers: {
      'x-request-id': 'long',
      'user-agent': 'b'.repeat(5_000),
      traceparent: 'c'.repeat(99),
    },
  })
  const { attributes, parentSpanId = '' } = await ofRequest('long')
  expect(attributes['url.path']).toBe(path.slice(0, 1_024))
  expect(attributes['user_agent.original']).toBe('b'.repeat(1_024))
  expect(parentSpanId).toBe('')
})

test('a parent that is not sampled leaves the request unrecorded', async () => {
  const before = collector.spans.length
  const unsampled = {
    traceparent: `00-${'a'.repeat(32)}-${PARENT}-00`,
    'x-request-id': 'unsampled',
  }
  expect((await service.post(FLUSH, KEYS, unsampled)).status).toBe(200)
  await service.fetch('admin', '/admin/keys', { headers: { 'x-request-id': 'after' } })
  await ofRequest('after')
  const added = collector.spans.slice(before)
  expect(added.filter(({ traceId }) => traceId === 'a'.repeat(32))).toEqual([])
})

test('protobuf is the default, and what is recorded is exported when the service stops', async () => {
  const other = startCollector()
  const tracing = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: `${other.endpoint}/` })
  const { database } = service
  const instance = await startTestService({ shards: 1, tracing, database })
  const response = await instance.fetch('admin', '/admin/keys')
  expect(response.status).toBe(200)
  await instance.stop()
  expect(other.requests[0]).toMatchObject({ path: '/v1/traces', type: 'application/x-protobuf' })
  const [request] = other.spans.filter(({ name }) => name === 'GET /admin/keys')
  expect(request!.kind).toBe(SERVER)
  const stages = other.spans.filter(({ parentSpanId }) => parentSpanId === request!.spanId)
  expect(stages.map(({ name }) => name).sort()).toEqual(['read.catch_up', 'read.query'])
  other.stop()
})

test('spans that no collector takes are dropped and counted, and delay no stop', async () => {
  const gone = startCollector()
  gone.stop()
  const tracing = await open({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${gone.endpoint}/v1/traces`,
    OTEL_BSP_MAX_QUEUE_SIZE: '8',
    OTEL_BSP_SCHEDULE_DELAY: '10',
    OTEL_EXPORTER_OTLP_TIMEOUT: '200',
  })
  const instance = await startTestService({ shards: 1, tracing, database: service.database })
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => instance.fetch('admin', '/admin/keys')),
  )
  expect(answers.map(({ status }) => status)).toEqual(new Array(20).fill(200))
  const dropped = (reason: string) =>
    readMetric(`trace_spans_dropped_total{reason="${reason}"}`, instance)
  await until(async () => (await dropped('queue_full')) > 0)
  await until(async () => (await dropped('export_failed')) > 0)
  await instance.stop()
})
