import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { connectAsOwner } from '../../../../src/platform/postgres/pool.ts'
import {
  hasOpenssl,
  PASSWORD,
  startTlsProxy,
  startTlsServer,
  type TlsServer,
} from '../../../support/tls-server.ts'

// Each sslmode against a server whose certificate is valid, from another CA, or for another host.

let server: TlsServer

/** Returns 'tls' or 'plain', as the server sees the connection, or why it failed. */
async function connect(
  parameters: string,
  options?: { host?: string; user?: string },
  port = server.port,
) {
  const url = server.url(parameters, options).replace(`:${server.port}/`, `:${port}/`)
  const sql = connectAsOwner({ url })
  try {
    const [row] = await sql<{ ssl: boolean }[]>`
      select s.ssl from pg_stat_ssl s where s.pid = pg_backend_pid()`
    return row!.ssl ? 'tls' : 'plain'
  } catch (error) {
    return (error as Error).message
  } finally {
    await sql.end()
  }
}

describe.skipIf(!hasOpenssl)('a connection (skipped: openssl is not installed)', () => {
  beforeAll(async () => {
    server = await startTlsServer()
  })
  afterEach(async () => {
    await server.set({ ssl: 'on', ssl_min_protocol_version: `'TLSv1.2'` })
    await server.letIn('host all all all scram-sha-256')
  })
  afterAll(() => server?.end())

  const OTHER_CA =
    "the server's certificate is not trusted: the CA that signed it is not in sslrootcert"
  const OTHER_HOST = "the server's certificate is not for 127.0.0.1"
  const NO_TLS = 'the server does not support TLS, which sslmode requires'
  const ca = () => `sslrootcert=${server.ca}`
  const other = () => `sslrootcert=${server.otherCa}`

  test.each<[string, () => string, string, string]>([
    ['', () => '', 'tls', 'plain'],
    ['disable', () => 'sslmode=disable', 'plain', 'plain'],
    ['allow', () => 'sslmode=allow', 'plain', 'plain'],
    ['prefer', () => 'sslmode=prefer', 'tls', 'plain'],
    ['prefer, other CA', () => `sslmode=prefer&${other()}`, 'tls', 'plain'],
    ['require', () => 'sslmode=require', 'tls', NO_TLS],
    ['require, CA', () => `sslmode=require&${ca()}`, 'tls', NO_TLS],
    ['require, other CA', () => `sslmode=require&${other()}`, OTHER_CA, NO_TLS],
    ['verify-ca', () => `sslmode=verify-ca&${ca()}`, 'tls', NO_TLS],
    ['verify-ca, other CA', () => `sslmode=verify-ca&${other()}`, OTHER_CA, NO_TLS],
    ['verify-full', () => `sslmode=verify-full&${ca()}`, 'tls', NO_TLS],
    ['verify-full, other CA', () => `sslmode=verify-full&${other()}`, OTHER_CA, NO_TLS],
    ['system roots', () => 'sslrootcert=system', OTHER_CA, NO_TLS],
  ])('with sslmode %s is the one that libpq makes', async (_, parameters, withTls, withoutTls) => {
    const expectedResult = (text: string) =>
      text === 'tls' || text === 'plain' ? text : `localhost:${server.port}: ${text}`
    expect(await connect(parameters())).toBe(expectedResult(withTls))
    await server.set({ ssl: 'off' })
    expect(await connect(parameters())).toBe(expectedResult(withoutTls))
  })

  test('to a host that the certificate does not name is refused by verify-full only', async () => {
    const host = '127.0.0.1'
    expect(await connect(`sslmode=verify-ca&${ca()}`, { host })).toBe('tls')
    expect(await connect(`sslmode=verify-full&${ca()}`, { host })).toContain(OTHER_HOST)
    const byName = `sslmode=verify-full&${ca()}&hostaddr=127.0.0.1`
    expect(await connect(byName, { host: 'localhost' })).toBe('tls')
    expect(await connect(byName, { host: 'other.example' })).toContain('not for other.example')
  })

  test('uses or avoids TLS if pg_hba.conf admits only that', async () => {
    await server.letIn('hostnossl all all all scram-sha-256')
    expect(await connect('sslmode=prefer')).toBe('plain')
    expect(await connect('sslmode=require')).toMatch(/pg_hba\.conf.*must allow this user/)
    await server.letIn('hostssl all all all scram-sha-256')
    expect(await connect('sslmode=allow')).toBe('tls')
    expect(await connect('sslmode=disable')).toMatch(/no encryption/)
  })

  test('with a client certificate needs no password', async () => {
    await server.letIn('hostssl all all all cert')
    const own = `sslcert=${server.cert}&sslkey=${server.key}`
    expect(await connect(`sslmode=require&${own}`)).toBe('tls')
    expect(await connect(`sslmode=require&${own}&sslcertmode=disable`)).toContain('certificate')
    const locked = `sslmode=require&sslcert=${server.cert}&sslkey=${server.lockedKey}`
    const opened = `${locked}&sslpassword=${encodeURIComponent(PASSWORD)}`
    expect(await connect(opened)).toBe('tls')
    expect(await connect(`${locked}&sslpassword=wrong`)).toContain('its sslpassword')
  })

  test('to a server whose certificate has been revoked is refused', async () => {
    const verified = `sslmode=verify-full&${ca()}`
    expect(await connect(`${verified}&sslcrl=${server.emptyCrl}`)).toBe('tls')
    expect(await connect(`${verified}&sslcrl=${server.crl}`)).toContain('it has been revoked')
  })

  test('is encrypted from its first byte with sslnegotiation=direct', async () => {
    const direct = `sslnegotiation=direct&sslmode=verify-full&${ca()}`
    expect(await connect(direct)).toBe('tls')
    await server.set({ ssl: 'off' })
    expect(await connect(direct)).toContain('the TLS handshake failed')
  })

  test('uses channel binding, and is refused if that is required and impossible', async () => {
    const required = 'sslmode=require&channel_binding=require'
    expect(await connect(required)).toBe('tls')
    expect(await connect('channel_binding=disable')).toBe('tls')
    expect(await connect('sslmode=disable&channel_binding=require')).toContain('without TLS')
    await server.letIn('host all all all password')
    expect(await connect(required)).toContain('because the server does not use SCRAM')
    await server.letIn('host all all all trust')
    expect(await connect(required)).toContain('because the server does not use SCRAM')
  })

  test('through a man in the middle is detected, even if its certificate is trusted', async () => {
    const between = await startTlsProxy(server)
    const connectThrough = (parameters: string) =>
      connect(parameters, { host: 'localhost' }, between.port)
    expect(await connectThrough('sslmode=require&channel_binding=disable')).toBe('tls')
    for (const binding of ['prefer', 'require']) {
      const refused = await connectThrough(`sslmode=require&channel_binding=${binding}`)
      expect(refused).toContain('SCRAM channel binding check failed')
    }
    between.close()
  })

  test('binds the channel with the hash of the certificate’s signature', async () => {
    const other = await startTlsServer('sha512')
    const sql = connectAsOwner({ url: other.url('sslmode=require&channel_binding=require') })
    expect(await sql`select 1 as one`).toMatchObject([{ one: 1 }])
    await sql.end()
    await other.end()
  })

  test('authenticates only with methods that require_auth allows', async () => {
    expect(await connect('require_auth=scram-sha-256')).toBe('tls')
    expect(await connect('require_auth=md5,password')).toContain('require_auth excludes')
    expect(await connect('require_auth=!scram-sha-256')).toContain('require_auth excludes')
    await server.letIn('host all all all trust')
    expect(await connect('require_auth=scram-sha-256')).toContain('none, which require_auth')
  })

  test('uses a TLS version that both sides allow', async () => {
    expect(await connect('sslmode=require&ssl_max_protocol_version=TLSv1.2')).toBe('tls')
    await server.set({ ssl_min_protocol_version: `'TLSv1.3'` })
    expect(await connect('sslmode=require&ssl_max_protocol_version=TLSv1.2')).toContain(
      'the TLS handshake failed',
    )
  })

  test('with a wrong password, user or database fails with an error that names it', async () => {
    const wrong = server.url('').replace(/:[^:@]*@/, ':wrong@')
    const sql = connectAsOwner({ url: wrong })
    const error = await sql`select 1`.catch((refused: Error) => refused)
    expect((error as Error).message).toMatch(/password authentication failed.*correct the user/)
    await sql.end()
    expect(await connect('dbname=absent')).toMatch(/database "absent" does not exist, so create/)
    expect(await connect('', { user: 'unknown' })).toContain('password authentication failed')
  })
})
