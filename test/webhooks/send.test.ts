import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseNetworks } from '../../src/http/clients.ts'
import { type SendOptions, send } from '../../src/webhooks/send.ts'
import { listenLocally } from '../support/sockets.ts'
import { hasOpenssl } from '../support/tls-server.ts'
import { type Receiver, startReceiver } from './receiver.ts'

// One attempt, against receivers that do not behave.

const options: SendOptions = {
  networks: parseNetworks('127.0.0.0/8'),
  connectWithinMs: 1_000,
  answerWithinMs: 1_000,
}
const post = (
  url: string,
  more: Partial<SendOptions> = {},
  signal = new AbortController().signal,
) =>
  send({ url, body: '{"é":1}', headers: { 'webhook-id': 'one' } }, { ...options, ...more }, signal)

describe('a receiver', () => {
  let receiver: Receiver
  beforeAll(async () => {
    receiver = await startReceiver()
  })
  afterAll(() => receiver.close())

  test.each([200, 204, 299, 400, 410, 500])('that answers %i has that status', async (status) => {
    receiver.answer = status
    expect(await post(receiver.url)).toEqual({ status, error: null })
  })

  test('gets the body and the headers, at the address that was checked', async () => {
    receiver.answer = 200
    const url = new URL(receiver.url)
    await post(`http://2130706433:${url.port}/a%20b?c=d`)
    const { path, headers, body } = receiver.received.at(-1)!
    expect([path, body]).toEqual(['/a%20b?c=d', '{"é":1}'])
    expect(headers).toMatchObject({
      host: `127.0.0.1:${url.port}`,
      'content-type': 'application/json',
      'content-length': '8',
      'user-agent': expect.stringMatching(/^tallybook\//),
      'webhook-id': 'one',
    })
  })

  test('is not followed to where it redirects', async () => {
    receiver.answer = 'redirect'
    const before = receiver.received.length
    expect(await post(receiver.url)).toEqual({ status: 302, error: null })
    expect(receiver.received.length).toBe(before + 1)
  })

  test('with an endless answer is left when its status is there', async () => {
    receiver.answer = 'huge'
    expect(await post(receiver.url, { answerWithinMs: 60_000 })).toEqual({
      ...{ status: 200, error: null },
    })
  })

  test('that never answers, or closes the connection, has failed', async () => {
    receiver.answer = 'hang'
    expect((await post(receiver.url)).error).toBe('no answer in time')
    receiver.answer = 'cut'
    expect((await post(receiver.url)).error).toBe('connection failed')
  })

  test('is left at once when the service stops', async () => {
    receiver.answer = 'hang'
    const stopping = new AbortController()
    const sent = post(receiver.url, { answerWithinMs: 60_000 }, stopping.signal)
    stopping.abort()
    expect((await sent).error).toBe('stopped')
  })

  test('is not reached through a proxy of the environment', async () => {
    receiver.answer = 200
    const { HTTP_PROXY } = process.env
    process.env.HTTP_PROXY = 'http://127.0.0.1:1'
    try {
      expect(await post(receiver.url)).toEqual({ status: 200, error: null })
    } finally {
      if (HTTP_PROXY === undefined) delete process.env.HTTP_PROXY
      else process.env.HTTP_PROXY = HTTP_PROXY
    }
  })

  test('that is slow to answer has longer than to connect', async () => {
    const server = createServer((_, response) => {
      setTimeout(() => response.writeHead(200).end(), 600)
    })
    const port = await listenLocally(server)
    const url = `http://127.0.0.1:${port}/`
    expect(await post(url, { connectWithinMs: 200, answerWithinMs: 20_000 })).toEqual({
      ...{ status: 200, error: null },
    })
    server.close()
  })

  test('is reached at another address of its host if one can not be connected to', async () => {
    receiver.answer = 200
    const { port } = new URL(receiver.url)
    const url = `http://h.example:${port}/`
    const to = (...addresses: string[]) => post(url, { resolve: async () => addresses })
    expect(await to('127.0.0.2', '127.0.0.1')).toEqual({ status: 200, error: null })
    expect(receiver.received.at(-1)!.headers.host).toBe(`h.example:${port}`)
    expect((await to('127.0.0.2', '127.0.0.3')).error).toBe('connection failed')
    const before = receiver.received.length
    receiver.answer = 500
    expect((await to('127.0.0.1', '127.0.0.1')).status).toBe(500)
    receiver.answer = 'cut'
    expect((await to('127.0.0.1', '127.0.0.1')).error).toBe('connection failed')
    expect(receiver.received.length).toBe(before + 2)
  })

  test('in a network that is not allowed is not reached', async () => {
    const before = receiver.received.length
    expect((await post(receiver.url, { networks: null })).error).toBe('address refused')
    expect(receiver.received.length).toBe(before)
  })
})

describe('what answers no HTTP', () => {
  const answers = ['SSH-2.0-OpenSSH_9.9\r\n', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(100_000)}`]
  test.each(answers)('is an invalid answer', async (answer) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {})
      socket.end(answer)
    })
    const port = await listenLocally(server)
    try {
      const { error } = await post(`http://127.0.0.1:${port}/`)
      expect(['invalid answer', 'connection failed']).toContain(error!)
    } finally {
      server.close()
    }
  })

  test('or nothing at all is a failed connection', async () => {
    const server = net.createServer()
    const port = await listenLocally(server)
    await new Promise((resolve) => server.close(resolve))
    expect((await post(`http://127.0.0.1:${port}/`)).error).toBe('connection failed')
  })
})

if (!hasOpenssl) console.log('skipped: certificates (there is no openssl on this machine)')

describe.if(hasOpenssl)('a certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tb-hook-'))
  const read = (name: string) => readFileSync(join(folder, name), 'utf8')
  let server: Bun.Server<unknown>

  beforeAll(() => {
    const made = Bun.spawnSync(
      [
        ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
        ...['-nodes', '-days', '30', '-subj', '/CN=localhost', '-keyout', 'key', '-out', 'crt'],
        ...['-addext', 'subjectAltName=DNS:localhost'],
      ],
      { cwd: folder },
    )
    if (!made.success) throw new Error(made.stderr.toString())
    server = Bun.serve({
      ...{ port: 0, hostname: '127.0.0.1', tls: { key: read('key'), cert: read('crt') } },
      fetch: (request) => new Response(null, { status: request.method === 'POST' ? 201 : 500 }),
    })
  })
  afterAll(async () => {
    await server.stop(true)
    rmSync(folder, { recursive: true })
  })

  test('for the host is accepted, if its authority is known', async () => {
    const url = `https://localhost:${server.port}/`
    expect(await post(url, { authorities: [read('crt')] })).toEqual({ status: 201, error: null })
    expect((await post(url)).error).toBe('certificate refused')
  })

  test('for another host is refused', async () => {
    const url = `https://127.0.0.1:${server.port}/`
    const sent = await post(url, { authorities: [read('crt')] })
    expect(sent.error).toBe('certificate refused')
  })
})
