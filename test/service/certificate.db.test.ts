import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'
import { hasOpenssl } from '../support/tls-server.ts'
import { until } from '../support/until.ts'

if (!hasOpenssl) console.log('skipped: HTTPS (there is no openssl on this machine)')

let folder: string
let service: TestService

const FILES = () => ({ cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') })

/** Makes a certificate with this common name. */
function make(name: string): void {
  const made = Bun.spawnSync(
    [
      ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
      ...['-nodes', '-days', '30', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.crt`],
    ],
    { cwd: folder },
  )
  if (!made.success) throw new Error(made.stderr.toString())
}

/** Puts a file of a certificate in place, as a whole. */
async function place(name: string, kind: 'crt' | 'key'): Promise<void> {
  await copyFile(join(folder, `${name}.${kind}`), join(folder, 'new'))
  await rename(join(folder, 'new'), join(folder, `tls.${kind}`))
}

/** Returns the common name of the certificate that the service presents; null if it refuses. */
const presented = () =>
  new Promise<unknown>((resolve) => {
    const { hostname: host, port } = new URL(service.url)
    const socket = tls.connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN)
      socket.destroy()
    })
    socket.on('error', () => resolve(null))
  })

const ask = (path: string, token: string, init: RequestInit = {}) =>
  fetch(service.url + path, {
    ...init,
    headers: { authorization: `Bearer ${token}`, ...(init.headers as object) },
    tls: { rejectUnauthorized: false },
  })

describe.skipIf(!hasOpenssl)('a service with a certificate', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tallybook-certificate-'))
    for (const name of ['one', 'two', 'three']) make(name)
    await place('one', 'key')
    await place('one', 'crt')
    service = await startTestService({ certificate: FILES() })
    const put = { method: 'PUT', body: JSON.stringify({ api_keys: [{ id: 1 }] }) }
    expect((await ask('/admin/catalog', TOKENS.admin, put)).status).toBe(200)
  })

  afterAll(async () => {
    await service?.stop()
    await rm(folder, { recursive: true })
  })

  test('serves HTTPS only, and marks its cookie so', async () => {
    expect(service.url).toStartWith('https://')
    expect(await presented()).toBe('one')
    const plain = await fetch(service.url.replace('https', 'http')).catch(() => null)
    expect(plain?.ok ?? false).toBe(false)
    const body = JSON.stringify({ token: TOKENS.admin })
    const signIn = await ask('/session', TOKENS.admin, { method: 'POST', body })
    expect(signIn.headers.get('set-cookie')).toContain('; Secure')
  })

  test('uses a renewed one, ends no open stream, and loses and doubles no flush', async () => {
    const stream = await ask('/admin/live', TOKENS.auditor)
    const reader = stream.body!.getReader()
    await reader.read()
    let isOver = false
    let posted = 0
    const post = async () => {
      while (!isOver) {
        const flush = {
          method: 'POST',
          body: JSON.stringify({ keys: [{ api_key_id: 1, requests: 1, success_requests: 1 }] }),
          headers: { 'idempotency-key': `flush-${++posted}` },
        }
        // A client repeats what got no answer.
        await until(async () => {
          const path = '/internal/apikey-stats/flush'
          return (await ask(path, TOKENS.dp, flush).catch(() => null))?.status === 200
        })
      }
    }
    const posting = Promise.all(Array.from({ length: 4 }, post))
    for (const name of ['two', 'one', 'three']) {
      // For a moment, the key is not that of the certificate.
      await place(name, 'key')
      await place(name, 'crt')
      await until(async () => (await presented()) === name)
    }
    isOver = true
    await posting
    const row = await (await ask('/admin/api-keys/1', TOKENS.admin)).json()
    expect(row).toMatchObject({ total_requests: posted })
    expect((await reader.read()).done).toBe(false)
    await reader.cancel()
  })

  test('keeps the one it has until another is valid', async () => {
    await writeFile(FILES().cert, 'no certificate')
    await place('two', 'key')
    await Bun.sleep(300)
    expect(await presented()).toBe('three')
    await place('two', 'crt')
    await until(async () => (await presented()) === 'two')
  })

  test.each([
    ['no file', { cert: 'missing.crt', key: 'one.key' }, "TALLYBOOK_TLS_CERT can't be read"],
    ['no key', { cert: 'one.crt', key: 'one.crt' }, 'must be in PEM'],
    ['another key', { cert: 'one.crt', key: 'two.key' }, 'is not that of TALLYBOOK_TLS_CERT'],
  ])('does not start with %s', async (_, { cert, key }, message) => {
    const certificate = { cert: join(folder, cert), key: join(folder, key) }
    const start = startTestService({ database: service.database, certificate })
    await expect(start).rejects.toThrow(message)
  })
})
