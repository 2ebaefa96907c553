import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import net from 'node:net'
import { join } from 'node:path'
import { makeOrigin } from '../support/origin.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'
import { TOKENS } from '../support/service.ts'

// A service in a process of its own, whose memory can be looked at, and clients that don't behave.

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

function readResidentMb(): number {
  const ps = Bun.spawnSync(['ps', '-o', 'rss=', '-p', String(service.pid)])
  return Number(ps.stdout.toString()) / 1_024
}

/** How often each status came of so many flushes, from a process of its own. */
async function flood(keys: number, flushes: number, atOnce: number) {
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
  return JSON.parse(await child.stdout.text()) as Record<string, number>
}

test('more than the queue can hold is shed with 503, and what is answered 200 is counted', async () => {
  const before = await readTotal()
  const residentMb = readResidentMb()
  // The database is held up for a while: what arrives can only wait.
  const held = database.owner.begin(async (transaction) => {
    await transaction`select from shards for update`
    // Longer than an append waits for a lock.
    await Bun.sleep(8_000)
  })
  const statuses = await flood(1_000, 30_000, 9_000)
  await held
  expect(Object.keys(statuses).sort()).toEqual(['200', '503 with retry-after'])
  expect((await readTotal()) - before).toBe(statuses['200']! * 1_000)
  // 64 MiB of payloads, as text and as columns, the bodies of 9,000 clients, and what a garbage
  // collector leaves.
  expect(readResidentMb() - residentMb).toBeLessThan(1_500)
  expect((await post(makeBody(1))).status).toBe(200)
})

describe('clients that do not behave keep nobody waiting', () => {
  const head = (length: number) =>
    `POST /internal/apikey-stats/flush HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKENS.dp}\r\n` +
    `Content-Length: ${length}\r\n\r\n`

  const connect = async (count: number, text: string): Promise<net.Socket[]> => {
    const sockets: net.Socket[] = []
    // A backlog takes so many connections at once.
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
    ['8,000 idle connections', 8_000, ''],
    ['1,000 heads without an end', 1_000, 'POST /internal/apikey-stats/flush HTTP/1.1\r\nHost: '],
    ['1,000 bodies that never end', 1_000, `${head(10_000_000)}{"keys":[`],
    ['1,000 requests cut in their body', 1_000, `${head(100)}{"keys":`],
  ])('%s', async (name, count, text) => {
    const before = await readTotal()
    const sockets = await connect(count, text)
    if (name.includes('cut')) for (const socket of sockets) socket.destroy()
    expect(await flood(10, 200, 8)).toEqual({ 200: 200 })
    expect((await readTotal()) - before).toBe(2_000)
    for (const socket of sockets) socket.destroy()
  })

  test('a body that comes a byte at a time is taken when it is there', async () => {
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

test('SIGTERM amid a flood: what is answered 200 is in the log, and it ends by itself', async () => {
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
  await Bun.sleep(500)
  service.kill('SIGTERM')
  await Promise.all(posters)
  expect(await service.exited).toBe(0)
  const [after] = await database.owner`select count(*) from events`
  const appended = Number(after!.count) - Number(row!.count)
  // An answer may be lost with its connection; a flush that is answered never is.
  expect(appended).toBeGreaterThanOrEqual(acknowledged)
  expect(acknowledged).toBeGreaterThan(0)
})
