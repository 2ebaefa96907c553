import { expect, test } from 'bun:test'
import { TEST_SHARDS } from '../support/server.ts'
import { useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// The log says who created and revoked which token, and never what the token is.

const service = useService()

type Item = { shard: number; position: number; type: string; source: string; payload: object }

const readEvents = async (type: string) =>
  (await service.read<{ items: Item[] }>(`/audit/events?type=${type}`)).items

const create = (name: string, role = 'dp', by = service.fetch) =>
  by('admin', '/admin/tokens', { method: 'POST', body: JSON.stringify({ name, role }) })

const revoke = (name: string) =>
  service.fetch('admin', `/admin/tokens/${name}`, { method: 'DELETE' })

test('creating and revoking a token are events of shard 0', async () => {
  const made = await create('proxy-1')
  expect(made.status).toBe(201)
  const { token } = (await made.json()) as { token: string }
  const [created] = await readEvents('TokenCreated')
  expect(created).toMatchObject({
    ...{ shard: 0, source: 'admin', payload: { name: 'proxy-1', role: 'dp' } },
  })
  expect(made.headers.get('tallybook-position')).toBe(`0/${created!.position}`)
  const { owner } = service.database
  const [stored] = await owner<{ sha256: string }[]>`
    select encode(t.token_sha256, 'hex') as sha256 from tokens t where t.name = 'proxy-1'`
  const log = await owner<{ payload: string }[]>`select e.payload::text from events e`
  expect(log.filter(({ payload }) => payload.includes(token))).toEqual([])
  expect(log.filter(({ payload }) => payload.includes(stored!.sha256))).toEqual([])

  const revoked = await revoke('proxy-1')
  expect(revoked.status).toBe(204)
  const [event] = await readEvents('TokenRevoked')
  expect(event).toMatchObject({
    ...{ shard: 0, source: 'admin', payload: { name: 'proxy-1', role: 'dp' } },
  })
  expect(revoked.headers.get('tallybook-position')).toBe(`0/${event!.position}`)
})

test('the source is the token that was used', async () => {
  const { token } = (await (await create('anna', 'admin')).json()) as { token: string }
  const made = await fetch(`${service.url}/admin/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ name: 'proxy-2', role: 'dp' }),
  })
  expect(made.status).toBe(201)
  expect(await readEvents('TokenCreated')).toContainEqual(
    expect.objectContaining({ source: 'anna', payload: { name: 'proxy-2', role: 'dp' } }),
  )
})

test('refused changes of tokens are no events', async () => {
  const count = async () =>
    (await readEvents('TokenCreated')).length + (await readEvents('TokenRevoked')).length
  expect((await create('proxy-3')).status).toBe(201)
  expect((await revoke('proxy-3')).status).toBe(204)
  const before = await count()
  expect((await create('proxy-3')).status).toBe(409)
  expect((await create('dp')).status).toBe(409)
  expect((await revoke('proxy-3')).status).toBe(404)
  expect((await revoke('nobody')).status).toBe(404)
  expect(await count()).toBe(before)
})

test('of concurrent changes of one token, one is made and is one event', async () => {
  const named = async (type: string) =>
    (await readEvents(type)).filter(({ payload }) => (payload as { name: string }).name === 'twice')
  const made = await Promise.all(Array.from({ length: 4 }, () => create('twice')))
  expect(made.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409])
  expect(await named('TokenCreated')).toHaveLength(1)
  const ended = await Promise.all(Array.from({ length: 4 }, () => revoke('twice')))
  expect(ended.map(({ status }) => status).sort()).toEqual([204, 404, 404, 404])
  expect(await named('TokenRevoked')).toHaveLength(1)
})

/** The SQLSTATE of a deadlock. */
const DEADLOCK = '40P01'

test('if the event is not appended, the token is neither created nor revoked', async () => {
  const { owner } = service.database
  expect((await create('kept')).status).toBe(201)
  // Attaching the next segment would be in the way of the trigger.
  await until(async () => {
    const [row] = await owner<{ segments: number }[]>`
      select count(*)::integer as segments from segments g where g.shard = 0`
    return row!.segments > 1
  })
  // A statement of the service that locks partitions in another order can be in the way, too.
  const change = (statements: string) =>
    until(() =>
      owner.unsafe(statements).then(
        () => true,
        (error) => (error.code === DEADLOCK ? false : Promise.reject(error)),
      ),
    )
  await change(`
    create function refuse_tokens() returns trigger language plpgsql as
      $$ begin raise exception 'refused'; end $$;
    create trigger refuse_tokens before insert on events
      for each row when (new.type like 'Token%') execute function refuse_tokens()`)
  expect((await create('lost')).status).toBe(500)
  expect((await revoke('kept')).status).toBe(500)
  await change('drop trigger refuse_tokens on events; drop function refuse_tokens()')
  const { items } = await service.read<{ items: { name: string; revoked_at: string | null }[] }>(
    '/admin/tokens',
  )
  expect(items.find(({ name }) => name === 'lost')).toBeUndefined()
  expect(items.find(({ name }) => name === 'kept')).toMatchObject({ revoked_at: null })
})

test('events of tokens count nothing, and reads reflect them', async () => {
  const made = await create('proxy-4')
  const at = Number(made.headers.get('tallybook-position')!.split('/')[1])
  const summary = await service.fetch('admin', '/admin/apikey-stats/summary')
  expect(await summary.json()).toMatchObject({ total_requests: 0 })
  const reflected = summary.headers.get('tallybook-position')!
  expect(reflected.split(',')).toHaveLength(TEST_SHARDS)
  expect(Number(/^0\/(\d+)/.exec(reflected)![1])).toBeGreaterThanOrEqual(at)
  await until(async () => {
    const note = await (await service.fetch('auditor', '/audit/log/0/checkpoint')).text()
    return Number(note.split('\n')[1]) > at
  })
})
