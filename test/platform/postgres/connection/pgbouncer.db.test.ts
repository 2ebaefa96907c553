import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  connectAsOwner,
  connectAsService,
  openBare,
  openPools,
  SERVICE_ROLE,
} from '../../../../src/platform/postgres/pool.ts'
import { sharesSessions } from '../../../../src/platform/postgres/pooler.ts'
import { startServers } from '../../../cluster/replicas/servers.ts'
import { SubscribedStream } from '../../../support/follow.ts'
import { hasPgBouncer, type PgBouncer, startPgBouncer } from '../../../support/pgbouncer.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../../support/server.ts'
import { startTestService, type TestService } from '../../../support/service.ts'
import { until } from '../../../support/until.ts'

let database: TestDatabase
let name: string

/** Waits until a stream has sent the event that a flush appended. */
async function untilStreamed(stream: SubscribedStream, flush: Response): Promise<void> {
  const at = flush.headers.get('tallybook-position')
  for (;;) {
    const [event] = await stream.events(1)
    if (`${event!.shard}/${event!.position}` === at) return
  }
}

const through = (settings: Record<string, string | number>) =>
  startPgBouncer(database.address, settings)

describe.skipIf(!hasPgBouncer)('PgBouncer (skipped: pgbouncer is not installed)', () => {
  beforeAll(async () => {
    database = await createDatabase()
    const [row] = await database.owner`select current_database() as name`
    name = row!.name
  })
  afterAll(() => database?.drop())

  describe.each([
    ['DISCARD ALL', { server_reset_query: 'DISCARD ALL' }],
    ['nothing', { server_reset_query: '', server_check_delay: 0 }],
  ])('in session mode, which resets sessions with %s', (_, settings) => {
    let bouncer: PgBouncer
    let service: TestService

    beforeAll(async () => {
      bouncer = await through({ pool_mode: 'session', ...settings })
      const address = bouncer.addressOf(name)
      service = await startTestService({ database, address })
      await service.putCatalog({ api_keys: [{ id: 1 }] })
    })
    afterAll(async () => {
      await service?.stop()
      await bouncer?.end()
    })

    const post = () =>
      service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 1, requests: 1 }] })
    const readTotal = async () =>
      (await service.read<{ total_requests: number }>('/admin/api-keys/1')).total_requests

    test('serves flushes, reads and live streams, before and after its restart', async () => {
      const before = await readTotal()
      const stream = await SubscribedStream.open(service, 'shard=all')
      const first = await post()
      expect(first.status).toBe(200)
      expect(await readTotal()).toBe(before + 1)
      await untilStreamed(stream, first)
      await bouncer.restart()
      // A flush in flight may get a 503 once, and is retried.
      const later = await until(async () => {
        const response = await post()
        return response.status === 200 && response
      })
      expect(await readTotal()).toBeGreaterThanOrEqual(before + 2)
      await untilStreamed(stream, later)
      stream.cut()
    })

    test('delivers notifications to listeners', async () => {
      const received: string[] = []
      const address = bouncer.addressOf(name)
      const listener = connectAsService(
        address,
        'instance',
        {},
        (_, payload) => void received.push(payload),
      )
      await listener`listen pooled`
      await database.owner`select pg_notify('pooled', 'payload')`
      await until(() => received.includes('payload'))
      await listener.end()
    })

    test('provides sessions with the settings that the service needs', async () => {
      const address = bouncer.addressOf(name)
      for (let round = 0; round < 3; round++) {
        const client = openBare(address)
        await client.unsafe(`set synchronous_commit = off; set search_path = pg_catalog;
          set extra_float_digits = -5; set session characteristics as transaction read only`)
        await client.end()
        const pools = openPools(address, TEST_SHARDS)
        const [session] = await pools.append`
          select current_user as role, current_schema as schema,
            current_setting('synchronous_commit') as commit,
            current_setting('transaction_read_only') as read_only`
        await pools.close()
        expect(session).toEqual({
          role: SERVICE_ROLE,
          schema: 'tallybook',
          commit: 'on',
          read_only: 'off',
        })
      }
    })
  })

  test.each([
    ['transaction', { pool_mode: 'transaction' }],
    ['transaction, one session', { pool_mode: 'transaction', default_pool_size: 1 }],
    ['transaction, round robin', { pool_mode: 'transaction', server_round_robin: 1 }],
    [
      'transaction, two sessions, round robin',
      { pool_mode: 'transaction', server_round_robin: 1, default_pool_size: 2 },
    ],
    ['statement', { pool_mode: 'statement' }],
  ])('in pool mode %s is refused, and its sessions stay unchanged', async (_, settings) => {
    const bouncer = await through(settings)
    const address = bouncer.addressOf(name)
    // Open several sessions first, so that round robin alternates between them.
    const others = Array.from({ length: 3 }, () => openBare(address))
    await Promise.all(others.map((other) => other.unsafe('select pg_sleep(0.01)').simple()))
    const starting = startTestService({ database, address }).then(
      async (service) => {
        await service.stop()
        return 'it started'
      },
      (error: Error) => `${error.name}: ${error.message}`,
    )
    expect(await starting).toMatch(/^UserError: DATABASE_URL leads to a pooler .*session/)
    const [session] = await others[0]!.unsafe('select current_user as role').simple()
    expect(session!.role).not.toBe(SERVICE_ROLE)
    await Promise.all(others.map((other) => other.end()))
    await bouncer.end()
  })

  test('in transaction mode is detected while other clients use it', async () => {
    const bouncer = await through({ pool_mode: 'transaction', default_pool_size: 5 })
    const address = bouncer.addressOf(name)
    let isDone = false
    const busy = Array.from({ length: 4 }, async () => {
      const other = openBare(address)
      while (!isDone) await other.unsafe('select pg_sleep(0.002)').simple()
      await other.end()
    })
    for (let round = 0; round < 5; round++) expect(await sharesSessions(address)).toBe(true)
    isDone = true
    await Promise.all(busy)
    await bouncer.end()
  })

  test('in front of a replica is refused by name if it shares sessions', async () => {
    const servers = await startServers(TEST_SHARDS)
    const { primary, replica } = servers
    const sessions = await startPgBouncer(replica.address, { pool_mode: 'session' })
    const shared = await startPgBouncer(replica.address, { pool_mode: 'transaction' })
    const owner = primary.connect()
    const start = (bouncer: PgBouncer) =>
      startTestService({
        database: { address: primary.address, owner, drop: async () => {} },
        replicas: [bouncer.addressOf(primary.address.database)],
      })
    const service = await start(sessions)
    const { replicas } = await service.read<{ replicas: { state: string }[] }>('/admin/status')
    expect(replicas).toMatchObject([{ state: 'used' }])
    await service.stop()
    await expect(start(shared)).rejects.toThrow(/^Server 1 of DATABASE_READ_URL is a pooler/)
    await owner.end()
    await Promise.all([sessions.end(), shared.end()])
    await servers.end()
  })

  test('without a free session is waited for in bounded time', async () => {
    const bouncer = await through({ pool_mode: 'session', default_pool_size: 1 })
    const probing = sharesSessions(bouncer.addressOf(name), 500)
    await expect(probing).rejects.toThrow(/^two connections at once are not answered/)
    await bouncer.end()
  })

  test('that knows no such database is named as the reason', async () => {
    const bouncer = await through({ pool_mode: 'session' })
    const sql = connectAsOwner(bouncer.addressOf('absent'))
    const error = await sql`select 1`.catch((refused: Error) => refused)
    expect((error as Error).message).toContain('"absent" does not exist')
    await sql.end()
    await bouncer.end()
  })
})
