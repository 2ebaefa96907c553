import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { appendRuleEvent } from '../../src/rules/append.ts'
import { readCrossings } from '../../src/rules/crossings.ts'
import {
  deleteOld,
  makeFutureDue,
  queueEvents,
  readDueWebhooks,
  recordOutcome,
  takeDue,
} from '../../src/webhooks/outbox.ts'
import {
  changeWebhook,
  createWebhook,
  deleteWebhook,
  listWebhooks,
  readTarget,
  rotateSecret,
} from '../../src/webhooks/store.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { useDatabase, usePools } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { type Receiver, startReceiver } from './receiver.ts'

// Deliveries in the database, step by step, and receivers that never answer.

/** Appends an event of a rule as a service does, and returns its position. */
async function append(pools: Pools, id: string): Promise<number> {
  const { newest } = await readCrossings(pools.read)
  const position = await appendRuleEvent(pools.append, newest, {
    type: 'RuleCrossed',
    data: {
      rule: { name: 'used', kind: 'quota', percent: 80 },
      subject: { kind: 'key', id },
      value: { quota_used: 80, quota_limit: 100 },
      ...{ at: '2026-01-31T12:00:00.000000+00:00', through: '0/0' },
    },
  })
  return position!
}

const HOOK = 'https://hooks.example.com/'

describe('a webhook', () => {
  const database = useDatabase()
  const pools = usePools(database)
  const pending = async (name: string) => {
    const rows = await database.owner<{ position: string }[]>`
      select d.position from webhook_deliveries d
      where d.webhook = ${name} and d.state = 'pending' order by d.position`
    return rows.map(({ position }) => Number(position))
  }

  test('gets what was recorded until it was disabled, and not what was meanwhile', async () => {
    await createWebhook(pools.control, 'off', HOOK)
    const before = await append(pools, 'before')
    // Before the event was queued.
    expect(await changeWebhook(pools.control, 'off', { enabled: false })).toBe(true)
    await append(pools, 'meanwhile')
    await queueEvents(pools.project)
    expect(await readDueWebhooks(pools.project)).toEqual([])
    await changeWebhook(pools.control, 'off', { enabled: true })
    const after = await append(pools, 'after')
    await queueEvents(pools.project)
    expect(await pending('off')).toEqual([before, after])
    await deleteWebhook(pools.control, 'off')
  })

  test('gets nothing that came into the log with an import', async () => {
    await createWebhook(pools.control, 'early', HOOK)
    // An import, and how it is read for events of rules.
    await database.owner.begin(async (sql) => {
      await sql`insert into rule_events values (100), (101)`
      await sql`update rule_folds set read_through = 101`
    })
    await queueEvents(pools.project)
    expect(await pending('early')).toEqual([])
    await database.owner`delete from rule_events where position >= 100`
    await database.owner`update rule_folds set read_through = -1`
    await deleteWebhook(pools.control, 'early')
  })

  test('that is deleted while an attempt ends waits for it, and not it for that', async () => {
    await createWebhook(pools.control, 'gone', HOOK)
    await append(pools, 'gone')
    await queueEvents(pools.project)
    const [due] = await takeDue(pools.project, 'gone', 1)
    const outcome = { status: 200, error: null }
    const recorded = await database.owner.begin(async (sql) => {
      // The two steps of a deletion.
      await sql`select from webhooks where name = 'gone' for update`
      const recording = recordOutcome(pools.project, due!, outcome)
      await until(async () => {
        const waiting = await sql`
          select from pg_locks where not granted and pid <> pg_backend_pid()`
        return waiting.length > 0
      })
      await sql`delete from webhook_deliveries where webhook = 'gone'`
      await sql`delete from webhooks where name = 'gone'`
      return { recording }
    })
    expect(await recorded.recording).toBeNull()
  })

  test('does not wait for a clock that was wrong', async () => {
    await createWebhook(pools.control, 'patient', HOOK)
    const position = await append(pools, 'patient')
    await queueEvents(pools.project)
    const set = (last: string | null, next: string) => database.owner`
      update webhook_deliveries
      set last_attempt_at = now() + ${last}::interval, next_attempt_at = now() + ${next}::interval
      where webhook = 'patient'`
    const isDue = async () => {
      await makeFutureDue(pools.project)
      return (await takeDue(pools.project, 'patient', 9)).length === 1
    }
    await set('-1 hour', '7 hours')
    expect(await isDue()).toBe(false)
    await set('1 year', '1 year 2 hours')
    expect(await isDue()).toBe(true)
    // It was taken now.
    expect(await isDue()).toBe(false)
    // Queued in the future, and never attempted.
    await set(null, '1 year')
    expect(await isDue()).toBe(true)
    expect(await pending('patient')).toEqual([position])
    await deleteWebhook(pools.control, 'patient')
  })

  test('has no secret any more that does not sign', async () => {
    await createWebhook(pools.control, 'rotated', HOOK)
    await rotateSecret(pools.control, 'rotated')
    await deleteOld(pools.project)
    expect((await readTarget(pools.control, 'rotated'))!.secrets.length).toBe(2)
    await database.owner`update webhooks set previous_until = now() - interval '1 second'`
    await deleteOld(pools.project)
    const rows = await database.owner<{ previous_secret: string | null }[]>`
      select w.previous_secret from webhooks w`
    expect(rows[0]!.previous_secret).toBeNull()
    await deleteWebhook(pools.control, 'rotated')
  })

  test('is listed with its last attempt, and what it counts', async () => {
    await createWebhook(pools.control, 'listed', HOOK)
    for (const id of ['x', 'y', 'z']) await append(pools, id)
    await queueEvents(pools.project)
    for (const outcome of [
      { status: 500, error: null },
      { status: null, error: 'connection failed' as const },
    ]) {
      const [due] = await takeDue(pools.project, 'listed', 1)
      await recordOutcome(pools.project, due!, outcome)
    }
    await database.owner`
      update webhook_deliveries set state = 'given_up' where status = 500`
    expect(await listWebhooks(pools.control)).toMatchObject([
      {
        ...{ name: 'listed', pending: 2, given_up: 1, failures: 2 },
        ...{ last_status: null, last_error: 'connection failed' },
      },
    ])
  })
})

describe('a receiver', () => {
  let service: TestService
  let pools: Pools
  let hanging: Receiver
  let quick: Receiver
  beforeAll(async () => {
    hanging = await startReceiver('hang')
    quick = await startReceiver(204)
    const minute = { connectWithinMs: 60_000, answerWithinMs: 60_000 }
    service = await startTestService({
      webhookNetworks: '127.0.0.0/8',
      intervals: {
        ...TEST_INTERVALS,
        rules: { evaluateIntervalMs: 1_000_000 },
        webhooks: { ...TEST_INTERVALS.webhooks, ...minute },
      },
    })
    pools = openPools(service.database.address, service.shards)
  })
  afterAll(async () => {
    await pools.close()
    await hanging.close()
    await quick.close()
    await service.end()
  })

  const send = (method: string, path: string, body?: object) =>
    service.fetch('admin', `/admin/webhooks${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    })

  test('that failed counts as working again once a test succeeds', async () => {
    const read = async () =>
      (await service.read<{ items: { failures: number; pending: number }[] }>('/admin/webhooks'))
        .items[0]!
    await send('POST', '', { name: 'mended', url: quick.url })
    quick.answer = 500
    await append(pools, 'mended')
    await until(async () => (await read()).failures === 1)
    await send('POST', '/mended/test')
    expect(await read()).toMatchObject({ failures: 1 })
    quick.answer = 204
    await send('POST', '/mended/test')
    expect(await read()).toMatchObject({ failures: 0, pending: 1 })
    await send('DELETE', '/mended')
    quick.received.length = 0
  })

  test('that answers has its turns, however many others never do', async () => {
    for (let i = 0; i < 6; i++) await send('POST', '', { name: `a${i}`, url: hanging.url })
    await send('POST', '', { name: 'quick', url: quick.url })
    const positions = new Set<string>()
    for (let i = 0; i < 10; i++) positions.add(`0/${await append(pools, `k${i}`)}`)
    await until(() => quick.received.length >= positions.size)
    const sent = quick.received.map(({ body }) => JSON.parse(body).data.position)
    expect(new Set(sent)).toEqual(positions)
    // Of 60 deliveries, no more were begun than may be under way at once, and one of each webhook.
    expect(hanging.received.length).toBeLessThanOrEqual(16 + 6)
  })
})
