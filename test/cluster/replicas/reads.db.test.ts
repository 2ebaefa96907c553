import { afterAll, beforeAll, expect, test } from 'bun:test'
import { SubscribedStream } from '../../support/follow.ts'
import { isFull } from '../../support/full.ts'
import { TEST_SHARDS } from '../../support/server.ts'
import { expectLoggedOnce, type ReplicatedService, startReplicated, until } from './replicated.ts'
import { type Servers, startServers } from './servers.ts'

// Reads go to a streaming replica, and reflect everything acknowledged before them. If the replica
// lags, they go to the primary, which always answers what only it can know.

/** How many flushes each poster posts. */
const POSTS = isFull ? 40 : 10

let servers: Servers
let one: ReplicatedService
let posted = 0

beforeAll(async () => {
  servers = await startServers(TEST_SHARDS)
  one = await startReplicated(servers.primary, [servers.replica.address])
  await one.waitForStates('used')
})
afterAll(async () => {
  await one?.service.end()
  await servers?.end()
})

async function post(): Promise<string> {
  const position = await one.post()
  posted++
  return position
}

/** Calls `run` while the replica's replay is paused. */
async function paused(run: () => Promise<void>): Promise<void> {
  const [end] = await one.service.database.owner<{ lsn: string }[]>`
    select pg_current_wal_lsn()::text as lsn`
  await until(() => servers.replica.hasReplayed(end!.lsn))
  await servers.replica.pauseReplay()
  try {
    await run()
  } finally {
    await servers.replica.resumeReplay()
    await one.waitForStates('used')
  }
}

test('a flush that was acknowledged is in every read that begins after it', async () => {
  const before = await one.readCounts()
  const reads = [
    async (least: number) => expect((await one.readTotal()).total).toBeGreaterThanOrEqual(least),
    async (least: number) => {
      const usage = await one.service.read<{ total: { total_requests: number } }>('/admin/usage')
      expect(usage.total.total_requests).toBeGreaterThanOrEqual(least)
    },
    async (least: number) => {
      const key = await one.service.read<{ total_requests: number }>('/admin/api-keys/1')
      expect(key.total_requests).toBeGreaterThanOrEqual(least)
    },
    async (least: number) => {
      const explained = await one.service.read<{ total: { requests: number } }>(
        '/audit/explain?api_key_id=1&limit=1',
      )
      expect(explained.total.requests).toBeGreaterThanOrEqual(least)
    },
    async (_: number, position: string) => {
      const page = await one.service.read<{ items: { shard: number; position: number }[] }>(
        '/audit/events?shard=all&order=desc&limit=100',
      )
      expect(page.items.map((event) => `${event.shard}/${event.position}`)).toContain(position)
    },
  ]
  const poster = async (number: number) => {
    for (let i = 0; i < POSTS; i++) {
      const position = await post()
      const least = posted
      await reads[(number + i) % reads.length]!(least, position)
    }
  }
  // `least` is exact with one poster at a time, and a lower bound with four at once.
  for (const number of reads.keys()) await poster(number)
  expect((await one.readTotal()).total).toBe(posted)
  await Promise.all([0, 1, 2, 3].map(poster))
  expect((await one.readTotal()).total).toBe(posted)
  const after = await one.readCounts()
  expect(after.replica).toBeGreaterThan(before.replica)
})

test('while replay is paused, reads go to the primary, and it is logged once', async () => {
  const { position: old, total } = await one.readTotal()
  const noted = one.logged.length
  await paused(async () => {
    for (let i = 0; i < 20; i++) {
      await post()
      expect((await one.readTotal()).total).toBe(posted)
    }
    await one.waitForStates('behind')
    const ready = await one.service.fetch(null, '/health/ready')
    expect(ready.status).toBe(200)
    expect(await ready.json()).toEqual({ status: 'ready', replicas: ['behind'] } as never)
    await until(async () => (await one.readReplicas())[0]!.lag_events === 20)
    const { fallbacks } = await one.readCounts()
    expect(fallbacks.behind).toBeGreaterThan(0)

    const eventual = await one.readTotal('?consistency=eventual')
    expect(eventual).toEqual({ position: old, total })
    const metrics = await (await one.service.fetch(null, '/metrics')).text()
    expect(metrics).toContain('tallybook_replica_used{replica="0"} 0')
    expect(metrics).toContain('tallybook_replica_lag_events{replica="0"} 20')
  })
  expect((await one.readTotal()).total).toBe(posted)
  expectLoggedOnce(one.logged.slice(noted), 'behind')
  await until(async () => (await one.readReplicas())[0]!.lag_events === 0)
})

test('the primary answers for events that a paused replica lacks', async () => {
  await paused(async () => {
    const position = await post()
    const [shard, number] = position.split('/')
    const event = await one.service.read<{ position: number }>(`/audit/events/${position}`)
    expect(event.position).toBe(Number(number))

    const headers = { accept: 'application/x-ndjson' }
    const range = await one.service.fetch('auditor', `/audit/events?shard=${shard}`, { headers })
    const lines = (await range.text()).trimEnd().split('\n')
    expect(lines.length).toBe(Number(number) + 1)
    expect(JSON.parse(lines.at(-1)!).position).toBe(Number(number))

    // The proof refers to a head that covers the event, whose tiles the replica can't have.
    const proof = await one.service.fetch('auditor', `/audit/events/${position}/tlog-proof`)
    expect(proof.status).toBe(200)
    expect(await proof.text()).toContain(`index ${number}\n`)
    const head = await one.service.fetch('auditor', `/audit/log/${shard}/checkpoint`)
    const size = Number((await head.text()).split('\n')[1])
    expect(size).toBeGreaterThan(Number(number))
    const [tile, width] = [Math.floor((size - 1) / 256), ((size - 1) % 256) + 1]
    const name = `${String(tile).padStart(3, '0')}${width === 256 ? '' : `.p/${width}`}`
    for (const level of ['0', 'entries']) {
      const answer = await one.service.fetch('auditor', `/audit/log/${shard}/tile/${level}/${name}`)
      expect(answer.status).toBe(200)
    }
  })
})

test('subscribers of the log do not wait for a replica', async () => {
  await paused(async () => {
    const first = await post()
    const [shard, number] = first.split('/')
    // Old events come from either server, and new ones at once.
    const stream = await SubscribedStream.open(one.service, `shard=${shard}&after=-1`)
    const positions = (await stream.events(Number(number) + 1)).map(({ position }) => position)
    expect(positions).toEqual(Array.from({ length: Number(number) + 1 }, (_, i) => i))
    let next: string
    do next = await post()
    while (!next.startsWith(`${shard}/`))
    const [event] = await stream.events(1)
    expect(event!.position).toBe(Number(number) + 1)
    stream.cut()
  })
})

test('tokens and sessions do not wait for a replica', async () => {
  await paused(async () => {
    const { fetch: send } = one.service
    const body = JSON.stringify({ name: 'late-1', role: 'admin' })
    const made = await send('admin', '/admin/tokens', { method: 'POST', body })
    const { token } = (await made.json()) as { token: string }
    const withToken = { headers: { authorization: `Bearer ${token}` } }
    expect((await send(null, '/admin/status', withToken)).status).toBe(200)

    const signIn = await send(null, '/session', {
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin' },
      body: JSON.stringify({ token }),
    })
    expect(signIn.status).toBe(201)
    const cookie = signIn.headers.get('set-cookie')!.split(';')[0]!
    const asBrowser = { headers: { cookie, 'sec-fetch-site': 'same-origin' } }
    expect((await send(null, '/admin/apikey-stats/summary', asBrowser)).status).toBe(200)

    expect((await send('admin', '/admin/tokens/late-1', { method: 'DELETE' })).status).toBe(204)
    expect((await send(null, '/admin/status', withToken)).status).toBe(401)
    expect((await send(null, '/admin/apikey-stats/summary', asBrowser)).status).toBe(401)
  })
})

test('reads of the past are the same on the replica and on the primary', async () => {
  const { position, total } = await one.readTotal()
  const then = `?as_of_position=${position}`
  await post()
  expect(await one.readTotal(then)).toEqual({ position, total })
  await paused(async () => {
    expect(await one.readTotal(then)).toEqual({ position, total })
    await post()
    const now = await one.readTotal()
    expect(await one.readTotal(`?as_of_position=${now.position}`)).toEqual(now)
  })
})

test('if one of two replicas lags, the other one answers reads', async () => {
  const second = await servers.addReplica()
  const addresses = [servers.replica.address, second.address]
  const two = await startReplicated(servers.primary, addresses)
  try {
    await two.waitForStates('used', 'used')
    await servers.replica.pauseReplay()
    await post()
    await two.waitForStates('behind', 'used')
    const before = await two.readCounts()
    for (let i = 0; i < 20; i++) {
      await post()
      expect((await two.readTotal()).total).toBe(posted)
    }
    expect((await two.readTotal('?consistency=eventual')).position).not.toBe('')
    const after = await two.readCounts()
    expect(after.replica - before.replica).toBeGreaterThan(0)
  } finally {
    await servers.replica.resumeReplay()
    await two.service.end()
  }
})
