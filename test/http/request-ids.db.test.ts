import { afterAll, beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { startTestService, type TestService } from '../support/service.ts'

// A response has the id of its request, and so does every line about it in the service's own log.
// Errors and streams have one in any case.

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'

type Line = { msg: string; request_id?: string; trace_id?: string; path?: string }

const EVENTS = 'text/event-stream'
const lines: Line[] = []
let service: TestService

beforeAll(async () => {
  const logger = pino({ level: 'error' }, { write: (text) => lines.push(JSON.parse(text)) })
  service = await startTestService({ shards: 1, logger })
})
afterAll(() => service.end())

const idOf = (response: Response) => response.headers.get('x-request-id')

test.each([
  ['GET', '/health/live', null],
  ['GET', '/metrics', null],
  ['GET', '/admin/apikey-stats/summary', 'admin'],
  ['GET', '/admin/apikey-stats/summary', null],
  ['GET', '/admin/keys?limit=none', 'admin'],
  ['POST', '/internal/apikey-stats/flush', 'dp'],
  ['GET', '/nothing/here', null],
  ['DELETE', '/admin/keys', 'admin'],
  ['GET', '/', null],
] as const)('%s %s has the id of the request in the response', async (method, path, role) => {
  const made = await service.fetch(role, path, { method })
  if (made.status >= 400) expect(idOf(made)).toMatch(UUID)
  else expect(idOf(made)).toBeNull()
  const given = await service.fetch(role, path, { method, headers: { 'x-request-id': 'proxy-7' } })
  expect(given.status).toBe(made.status)
  expect(idOf(given)).toBe('proxy-7')
  await Promise.all([made.body?.cancel(), given.body?.cancel()])
})

test('a stream names its request', async () => {
  const headers = { accept: 'text/event-stream', 'x-request-id': 'stream-1' }
  const stream = await service.fetch('auditor', '/audit/events', { headers })
  expect(stream.status).toBe(200)
  expect(idOf(stream)).toBe('stream-1')
  await stream.body!.cancel()
  const named = await service.fetch('auditor', '/audit/events', { headers: { accept: EVENTS } })
  expect(idOf(named)).toMatch(UUID)
  await named.body!.cancel()
})

test.each([['two words'], ['a'.repeat(129)], ['é'], ['a,b c']])(
  'the id %p is not accepted',
  async (id) => {
    const headers = { 'x-request-id': id }
    expect(idOf(await service.fetch(null, '/health/live', { headers }))).toBeNull()
    expect(idOf(await service.fetch(null, '/admin/keys', { headers }))).toMatch(UUID)
  },
)

test('the longest id is accepted', async () => {
  const headers = { 'x-request-id': '~'.repeat(128) }
  expect(idOf(await service.fetch(null, '/health/live', { headers }))).toBe('~'.repeat(128))
})

test('an unexpected error is logged with the id and the trace of its request', async () => {
  const { owner } = service.database
  // The service can't explain a column that is gone.
  await owner`alter table verifications rename column id to other`
  const headers = { 'x-request-id': 'failing', traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }
  const response = await service.fetch('admin', '/admin/verifications', { headers })
  await owner`alter table verifications rename column other to id`
  expect(response.status).toBe(500)
  expect(idOf(response)).toBe('failing')
  const about = { request_id: 'failing', trace_id: TRACE, path: '/admin/verifications' }
  expect(lines.find(({ msg }) => msg === 'request failed')).toMatchObject(about)
})
