import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import pino from 'pino'
import { Webhook } from 'standardwebhooks'
import { type Delivery, LEASE_S } from '../../src/webhooks/outbox.ts'
import type { Webhook as StoredWebhook } from '../../src/webhooks/store.ts'
import { putRules } from '../rules/support.ts'
import { expectProblem } from '../support/problem.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { type Received, type Receiver, startReceiver } from './receiver.ts'

// Webhooks, through two instances on one database.

let logged = ''
const sink = {
  write(line: string) {
    logged += line
  },
}

let service: TestService
let other: TestService
let receiver: Receiver
/** Every secret that was made. */
const secrets: string[] = []

beforeAll(async () => {
  receiver = await startReceiver()
  const logger = pino({ level: 'trace' }, sink)
  const intervals = { rules: { evaluateIntervalMs: 200 } }
  const options = { webhookNetworks: '127.0.0.0/8', logger, intervals }
  service = await startTestService(options)
  other = await startTestService({ ...options, database: service.database })
  await service.putCatalog({ keys: [{ token_hash: 'k', quota_limit: 100 }] })
})
afterAll(async () => {
  await other.stop()
  await service.end()
  await receiver.close()
})
afterEach(async () => {
  for (const { name } of await list()) await send('DELETE', `/${name}`)
  receiver.received.length = 0
  receiver.answer = 204
})

const send = (method: string, path: string, body?: object) =>
  other.fetch('admin', `/admin/webhooks${path}`, {
    method,
    ...(body && { body: JSON.stringify(body) }),
  })

async function create(name: string, url = receiver.url): Promise<string> {
  const response = await send('POST', '', { name, url })
  expect(response.status).toBe(201)
  const { secret } = (await response.json()) as { secret: string }
  secrets.push(secret)
  return secret
}

const list = async () => (await service.read<{ items: StoredWebhook[] }>('/admin/webhooks')).items
const deliveries = async (query = '') =>
  (await service.read<{ items: Delivery[] }>(`/admin/webhook-deliveries${query}`)).items
const untilState = (webhook: string, state: string, count = 1) =>
  until(async () => {
    const found = await deliveries(`?webhook=${webhook}`)
    return found.filter((one) => one.state === state).length >= count && found
  })

let rules = 0
/** Crosses a rule and clears it; returns its name. Two events. */
async function crossAndClear(): Promise<string> {
  const name = `rule_${++rules}`
  const isCrossed = async (is: boolean) => {
    const { items } = await service.read<{ items: { name: string; crossed: number }[] }>(
      '/admin/rules',
    )
    return items.some((one) => one.name === name && one.crossed > 0) === is
  }
  await putRules(service, [{ name, kind: 'quota', percent: 1 }])
  const keys = [{ token_hash: 'k', requests: 1, tokens: 90 }]
  expect((await other.post('/internal/stats/flush', { keys })).status).toBe(200)
  await until(() => isCrossed(true))
  await service.act('/admin/keys/k/quota-reset', { reason: 'test' })
  await until(() => isCrossed(false))
  await service.fetch('admin', `/admin/rules/${name}`, { method: 'DELETE' })
  return name
}

const verify = (secret: string, { body, headers }: Received) =>
  new Webhook(secret).verify(body, headers) as {
    type: string
    timestamp: string
    data: { position: string; rule: { name: string }; value: object; why?: string }
  }

/** Makes deliveries due at once, except those of which an attempt is under way. */
const hurry = () => service.database.owner`
  update webhook_deliveries
  set next_attempt_at = now()
  where state = 'pending' and (last_attempt_at is null
    or abs(extract(epoch from next_attempt_at - last_attempt_at) - ${LEASE_S}) > 1)`

describe('an event', () => {
  test('is sent to each webhook, signed with its secret, and is the event of the log', async () => {
    const [one, two] = [await create('one'), await create('two')]
    const rule = await crossAndClear()
    await untilState('one', 'delivered', 2)
    await untilState('two', 'delivered', 2)
    expect(receiver.received.length).toBe(4)
    const byOne = receiver.received.filter((received) => {
      try {
        return verify(one, received) !== null
      } catch {
        expect(verify(two, received)).toBeDefined()
        return false
      }
    })
    expect(byOne.length).toBe(2)
    const events = byOne.map((received) => verify(one, received))
    events.sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1))
    expect(events.map(({ type, data }) => [type, data.rule.name, data.why])).toEqual([
      ['rule.crossed', rule, undefined],
      ['rule.cleared', rule, 'recovered'],
    ])
    for (const { timestamp, data } of events) {
      const { position, ...payload } = data
      const event = await service.read<{ recorded_at: string; payload: object }>(
        `/audit/events/${position}`,
      )
      expect([event.recorded_at, event.payload]).toEqual([timestamp, payload])
    }
    expect(await list()).toMatchObject([
      { name: 'one', pending: 0, failures: 0, last_status: 204 },
      { name: 'two', pending: 0, failures: 0, last_status: 204 },
    ])
  })

  test('is sent again after a failure, with the same id and another signature', async () => {
    const secret = await create('retried')
    receiver.answer = 500
    await crossAndClear()
    const failed = await until(async () => {
      const found = await deliveries('?webhook=retried')
      return found.length === 2 && found.every(({ status }) => status === 500) && found
    })
    expect(failed.map(({ state }) => state)).toEqual(['pending', 'pending'])
    expect((await list())[0]).toMatchObject({ pending: 2, last_status: 500 })
    receiver.answer = 200
    await hurry()
    await untilState('retried', 'delivered', 2)
    for (const received of receiver.received) verify(secret, received)
    const ids = receiver.received.map(({ headers }) => headers['webhook-id']!)
    expect(new Set(ids).size).toBe(2)
    expect(ids.every((id) => /^evt_0_\d+_[0-9a-f]{12}$/.test(id))).toBe(true)
    expect((await list())[0]).toMatchObject({ pending: 0, failures: 0 })
  })

  test('is given up after eleven attempts', async () => {
    await create('hopeless')
    receiver.answer = 503
    await crossAndClear()
    await until(async () => {
      await hurry()
      const [webhook] = await list()
      return webhook!.given_up === 2
    })
    expect((await deliveries('?webhook=hopeless')).map(({ attempts }) => attempts)).toEqual([
      ...[11, 11],
    ])
    expect(receiver.received.length).toBe(22)
    const metrics = await (await service.fetch(null, '/metrics')).text()
    expect(metrics).toContain('\ntallybook_webhook_given_up 2\n')
    expect(metrics).toContain('\ntallybook_webhook_pending 0\n')
    expect(metrics).toContain('\ntallybook_webhooks_failing 1\n')
  })

  test('that a webhook hangs on does not delay another one', async () => {
    const slow = await startReceiver('hang')
    await create('slow', slow.url)
    await create('quick')
    for (let i = 0; i < 3; i++) await crossAndClear()
    await untilState('quick', 'delivered', 6)
    await slow.close()
  })

  test('is not sent to a webhook that is not enabled, nor later', async () => {
    await create('off')
    expect((await send('PATCH', '/off', { enabled: false })).status).toBe(204)
    await crossAndClear()
    expect((await send('PATCH', '/off', { enabled: true })).status).toBe(204)
    await create('later')
    const rule = await crossAndClear()
    await untilState('off', 'delivered', 2)
    await untilState('later', 'delivered', 2)
    const names = receiver.received.map(({ body }) => JSON.parse(body).data.rule.name)
    expect(names).toEqual([rule, rule, rule, rule])
  })

  test('is not sent to a private address', async () => {
    await create('metadata', 'https://[::ffff:a9fe:a9fe]/latest')
    const tested = await send('POST', '/metadata/test')
    expect(await tested.json()).toEqual({ status: null, error: 'address refused' })
    await crossAndClear()
    const found = await until(async () => {
      const all = await deliveries('?webhook=metadata')
      return all.length === 2 && all.every(({ attempts }) => attempts === 1) && all
    })
    expect(found.map(({ state }) => state)).toEqual(['pending', 'pending'])
    expect((await list())[0]).toMatchObject({ last_error: 'address refused', pending: 2 })
  })
})

describe('a webhook', () => {
  test('shows its secret once, and signs with both for a day after a rotation', async () => {
    const former = await create('rotated')
    const response = await send('POST', '/rotated/rotate')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const { secret, rotating_until } = (await response.json()) as Record<string, string>
    secrets.push(secret!)
    expect((await list())[0]).toMatchObject({ rotating_until })
    const tested = await send('POST', '/rotated/test')
    expect(await tested.json()).toEqual({ status: 204, error: null })
    const received = receiver.received.at(-1)!
    expect(verify(former, received).type).toBe('webhook.test')
    expect(verify(secret!, received).type).toBe('webhook.test')
    await service.database.owner`update webhooks set previous_until = now()`
    await send('POST', '/rotated/test')
    expect(() => verify(former, receiver.received.at(-1)!)).toThrow()
    verify(secret!, receiver.received.at(-1)!)
  })

  test('that is deleted or unknown is 404, and has no deliveries', async () => {
    await create('gone')
    await crossAndClear()
    await untilState('gone', 'delivered', 2)
    expect((await send('DELETE', '/gone')).status).toBe(204)
    expect(await deliveries('?webhook=gone')).toEqual([])
    for (const [method, path, body] of [
      ['DELETE', '/gone', undefined],
      ['POST', '/gone/rotate', undefined],
      ['POST', '/gone/test', undefined],
      ['PATCH', '/gone', { enabled: true }],
    ] as const) {
      await expectProblem(await send(method, path, body), 404, 'not found')
    }
  })

  test('of a name that is taken is refused, and so are more than twenty', async () => {
    await create('w0')
    await expectProblem(
      await send('POST', '', { name: 'w0', url: 'https://a.b/' }),
      409,
      'name taken',
    )
    for (let i = 1; i < 20; i++) await create(`w${i}`)
    const more = await send('POST', '', { name: 'w20', url: 'https://a.b/' })
    await expectProblem(more, 409, 'too many webhooks')
  })

  test.each([
    ...['', 'hooks.example.com', 'ftp://a.b/', 'file:///etc/passwd', 'https://u:p@a.b/'],
    ...['https://u@a.b/', 'https://a.b/#x', `https://a.b/${'x'.repeat(2_048)}`, 'https://a b/'],
  ])('with the URL %p is refused', async (url) => {
    await expectProblem(await send('POST', '', { name: 'bad', url }), 400, 'invalid webhook')
    await create('good')
    await expectProblem(await send('PATCH', '/good', { url }), 400, 'invalid webhook')
  })

  test.each([
    ['a name with a capital', { name: 'Bad' }],
    ['a secret', { name: 'a', secret: 'whsec_x' }],
    ['no name', { name: null }],
  ])('with %s is refused', async (_, more) => {
    const body = { url: 'https://a.b/', ...more }
    await expectProblem(await send('POST', '', body), 400, 'invalid webhook')
  })
})

test('no secret and no URL is in the log, in what is read, or in what is logged', async () => {
  const { owner } = service.database
  await create('leaky')
  await crossAndClear()
  await untilState('leaky', 'delivered', 2)
  const rows = await owner<{ payload: string }[]>`select e.payload::text as payload from events e`
  const read = await Promise.all(
    ['/admin/webhooks', '/admin/webhook-deliveries', '/admin/rules', '/admin/status'].map(
      async (path) => (await service.fetch('admin', path)).text(),
    ),
  )
  const metrics = await (await service.fetch(null, '/metrics')).text()
  expect(logged).toContain('webhooks: an attempt failed')
  const texts = [...rows.map(({ payload }) => payload), ...read, metrics, logged]
  for (const secret of secrets) {
    const bare = secret.slice('whsec_'.length)
    expect(texts.filter((text) => text.includes(bare))).toEqual([])
  }
  expect(logged).not.toContain('/hook')
  expect(metrics).not.toContain('leaky')
})
