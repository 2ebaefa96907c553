import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import net from 'node:net'
import { join } from 'node:path'
import { lockShards } from '../support/events.ts'
import { isFull } from '../support/full.ts'
import { makeOrigin } from '../support/origin.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'
import { REFUSED } from './flood.ts'

// A service in its own process, and misbehaving clients. The full load (TALLYBOOK_TEST_FULL) takes
// many connections and some minutes of two cores. test/log/full-queue.db.test.ts tests a full
// queue.

const FLOOD = isFull
  ? { keys: 1_000, flushes: 30_000, atOnce: 9_000 }
  : { keys: 100, flushes: 2_000, atOnce: 1_000 }
const IDLE = isFull ? 8_000 : 1_000

let database: TestDatabase
let origin: Awaited<ReturnType<typeof makeOrigin>>
let service: ReturnType<typeof spawn>
let url = ''
let port = 0

const spawn = () =>
  Bun.spawn(
    [
      process.execPath,
      '--no-orphans',
      join(import.meta.dir, 'instance.ts'),
      JSON.stringify(database.address),
      String(TEST_SHARDS),
      origin.dataDir,
    ],
    { stdout: 'pipe', stderr: 'inherit' },
  )

beforeAll(async () => {
  database = await createDatabase()
  origin = await makeOrigin()
  service = spawn()
  for await (const chunk of service.stdout) {
    url = /listens on (\S+)/.exec(new TextDecoder().decode(chunk))?.[1] ?? ''
    if (url !== '') break
  }
  port = Number(new URL(url).port)
  await fetch(`${url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({
      provider_groups: [{ id: 1 }],
      api_keys: Array.from({ length: 1_000 }, (_, i) => ({ id: i + 1, group_id: 1 })),
    }),
  })
})

afterAll(async () => {
  service.kill('SIGTERM')
  await service.exited
  await origin.remove()
  await database.drop()
})

const makeBody = (keys: number) =>
  JSON.stringify({
    keys: Array.from({ length: keys }, (_, i) => ({ api_key_id: i + 1, requests: 1 })),
  })

const post = (body: string) =>
  fetch(`${url}/internal/apikey-stats/flush`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.dp}` },
    body,
  })

const readTotal = async () => {
  const response = await fetch(`${url}/admin/apikey-stats/summary`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })
  return ((await response.json()) as { total_requests: number }).total_requests
}

/** Posts flushes from another process and returns the count of each status. */
async function flood({ keys, flushes, atOnce }: typeof FLOOD, onRefused = () => {}) {
  const child = Bun.spawn(
    [
      process.execPath,
      '--no-orphans',
      join(import.meta.dir, 'flood.ts'),
      ...[url, keys, flushes, atOnce].map(String),
    ],
    {
      env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: String(atOnce) },
      stdout: 'pipe',
      stderr: 'inherit',
    },
  )
  let text = ''
  for await (const chunk of child.stdout) {
    text += new TextDecoder().decode(chunk)
    if (text.startsWith(`${REFUSED}\n`)) onRefused()
  }
  return JSON.parse(text.replace(`${REFUSED}\n`, '')) as Record<string, number>
}

const readQueueLength = async () => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^tallybook_queue_length (\d+)$/m.exec(metrics)?.[1])
}

test('flushes the database cannot accept are answered 503, and every 200 is counted', async () => {
  const before = await readTotal()
  // While the shards are locked flushes can only wait, until one is refused.
  const locked = await lockShards(database)
  let released: Promise<void> | null = null
  const statuses = await flood(FLOOD, () => {
    released ??= locked.release()
  })
  await released
  expect(Object.keys(statuses).sort()).toEqual(['200', '503 with retry-after'])
  expect((await readTotal()) - before).toBe(statuses['200']! * FLOOD.keys)
  // Refused flushes leave the queue.
  expect(await readQueueLength()).toBe(0)
  expect((await post(makeBody(1))).status).toBe(200)
})

describe('misbehaving clients delay no one', () => {
  const head = (length: number) =>
    `POST /internal/apikey-stats/flush HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKENS.dp}\r\n` +
    `Content-Length: ${length}\r\n\r\n`

  const connect = async (count: number, text: string): Promise<net.Socket[]> => {
    const sockets: net.Socket[] = []
    // A listen backlog accepts this many connections at once.
    for (let i = 0; i < count; i += 200) {
      const some = Array.from({ length: Math.min(200, count - i) }, () =>
        net.connect(port, '127.0.0.1'),
      )
      await Promise.all(
        some.map(
          (socket) =>
            new Promise<void>((resolve, reject) => {
              socket.once('connect', resolve)
              socket.once('error', reject)
            }),
        ),
      )
      for (const socket of some) {
        socket.on('error', () => {})
        if (text !== '') socket.write(text)
      }
      sockets.push(...some)
    }
    return sockets
  }

  test.each([
    ['idle connections', IDLE, ''],
    ['1,000 heads that never end', 1_000, 'POST /internal/apikey-stats/flush HTTP/1.1\r\nHost: '],
    ['1,000 bodies that never end', 1_000, `${head(10_000_000)}{"keys":[`],
    ['1,000 requests cut in the middle of their body', 1_000, `${head(100)}{"keys":`],
  ])('%s', async (name, count, text) => {
    const before = await readTotal()
    const sockets = await connect(count, text)
    if (name.includes('cut')) for (const socket of sockets) socket.destroy()
    expect(await flood({ keys: 10, flushes: 200, atOnce: 8 })).toEqual({ 200: 200 })
    expect((await readTotal()) - before).toBe(2_000)
    for (const socket of sockets) socket.destroy()
  })

  test('a body that arrives byte by byte is accepted when it is complete', async () => {
    const body = makeBody(2)
    const [socket] = await connect(1, head(body.length))
    const answered = new Promise<string>((resolve) => {
      socket!.once('data', (data) => resolve(data.toString()))
    })
    for (const letter of body) {
      socket!.write(letter)
      await Bun.sleep(1)
    }
    expect(await answered).toStartWith('HTTP/1.1 200')
    socket!.destroy()
  })
})

test('on SIGTERM during a flood the service exits, and every 200 is in the log', async () => {
  const [row] = await database.owner`select count(*) from events`
  let acknowledged = 0
  const posters = Array.from({ length: 64 }, async () => {
    for (;;) {
      const response = await post(makeBody(10)).catch(() => null)
      if (response === null || response.status === 503) return
      expect(response.status).toBe(200)
      acknowledged++
    }
  })
  await until(() => acknowledged > 0)
  service.kill('SIGTERM')
  await Promise.all(posters)
  expect(await service.exited).toBe(0)
  const [after] = await database.owner`select count(*) from events`
  const appended = Number(after!.count) - Number(row!.count)
  // An answer may be lost with its connection; an answered flush never is.
  expect(appended).toBeGreaterThanOrEqual(acknowledged)
  expect(acknowledged).toBeGreaterThan(0)
})
