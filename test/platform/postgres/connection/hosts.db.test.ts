import { afterAll, beforeAll, expect, test } from 'bun:test'
import net from 'node:net'
import { connectAsOwner, openPools } from '../../../../src/platform/postgres/pool.ts'
import { type Servers, startServers } from '../../../cluster/replicas/servers.ts'
import { freePort } from '../../../support/free-port.ts'
import { makeDataDir, readUrl, runTallybook } from '../../../support/process.ts'
import { until } from '../../../support/until.ts'

// Several hosts in a URL, tried as by libpq: a primary, a standby, and one without a server.

let servers: Servers
let hosts: { primary: string; standby: string; absent: string }

beforeAll(async () => {
  servers = await startServers(1)
  hosts = {
    primary: servers.primary.address.host,
    standby: servers.replica.address.host,
    absent: '/nowhere',
  }
})
afterAll(() => servers?.end())

type Host = 'primary' | 'standby' | 'absent'

const urlOf = (order: readonly Host[], parameters: string) => {
  const { user, database } = servers.primary.address
  const list = order.map((host) => hosts[host]).join(',')
  return `postgres://${user}@/${database}?host=${list}${parameters}`
}

/** Returns which server a URL leads to, or why it leads to none. */
async function reach(order: readonly Host[], attributes: string): Promise<string> {
  const more = attributes === '' ? '' : `&target_session_attrs=${attributes}`
  const sql = connectAsOwner({ url: urlOf(order, more) })
  try {
    const [row] = await sql<{ standby: boolean }[]>`select pg_is_in_recovery() as standby`
    return row!.standby ? 'standby' : 'primary'
  } catch (error) {
    return (error as Error).message
  } finally {
    await sql.end()
  }
}

test.each<[Host[], string, string]>([
  [['primary', 'standby'], 'any', 'primary'],
  [['standby', 'primary'], 'any', 'standby'],
  [['absent', 'standby', 'primary'], 'any', 'standby'],
  [['standby', 'primary'], '', 'primary'],
  [['standby', 'absent', 'primary'], 'read-write', 'primary'],
  [['standby', 'primary'], 'primary', 'primary'],
  [['primary', 'standby'], 'read-only', 'standby'],
  [['primary', 'absent', 'standby'], 'standby', 'standby'],
  [['primary', 'standby'], 'prefer-standby', 'standby'],
  [['primary', 'absent'], 'prefer-standby', 'primary'],
  [['standby'], '', 'standby'],
])('hosts %j with %s lead to the first that fits', async (order, attributes, expected) => {
  expect(await reach(order, attributes)).toBe(expected)
})

test('if no host fits, the error states the reason for each', async () => {
  const place = (host: Host) => `${hosts[host]}/.s.PGSQL.5432`
  expect(await reach(['standby', 'absent'], 'read-write')).toBe(
    `${place('standby')}: the server is read-only; ${place('absent')}: there is no such socket`,
  )
  expect(await reach(['primary'], 'standby')).toBe(
    `${place('primary')}: the server is not a standby`,
  )
})

test('load_balance_hosts=random uses every host in time', async () => {
  const seen = new Set<string>()
  while (seen.size < 2) {
    const url = urlOf(['primary', 'standby'], '&load_balance_hosts=random&target_session_attrs=any')
    const sql = connectAsOwner({ url })
    const [row] = await sql`select pg_is_in_recovery() as standby`
    seen.add(String(row!.standby))
    await sql.end()
  }
})

test('a pool that loses its sessions connects again', async () => {
  const sql = connectAsOwner({ url: urlOf(['absent', 'primary'], '') })
  const ask = () => sql`select 1 as one`.then(([row]) => row!.one)
  expect(await ask()).toBe(1)
  // The error that ended one session does not fail the next, and queued statements are answered.
  for (let round = 0; round < 10; round++) {
    await servers.primary.run(
      `select pg_terminate_backend(a.pid) from pg_stat_activity a
       where a.pid <> pg_backend_pid() and a.backend_type = 'client backend'`,
    )
    expect(await until(() => ask().catch(() => null))).toBe(1)
  }
  await sql.end()
})

test('options in a URL change no setting that the service depends on', async () => {
  const options = [
    ...['synchronous_commit=off', 'search_path=pg_catalog', 'extra_float_digits=-5'],
    ...['default_transaction_isolation=serializable', 'array_nulls=off', 'TimeZone=Asia/Tokyo'],
    ...['default_transaction_read_only=on', 'statement_timeout=60000', 'geqo=off'],
  ].map((setting) => `-c ${setting}`)
  const url = urlOf(['primary'], `&options=${encodeURIComponent(options.join(' '))}`)
  const pools = openPools({ url }, 1)
  const names = ['synchronous_commit', 'search_path', 'extra_float_digits', 'array_nulls']
  names.push('transaction_isolation', 'TimeZone', 'transaction_read_only', 'statement_timeout')
  const rows = await pools.control`
    select current_setting(n.name) as value from unnest(${names}::text[]) with ordinality n(name, i)
    order by n.i`
  const values = ['on', 'tallybook', '1', 'on', 'read committed', 'UTC', 'off', '5s']
  expect(rows.map(({ value }) => value)).toEqual(values)
  // The URL decides the settings that it does not depend on.
  const [geqo] = await pools.control`select current_setting('geqo') as value`
  expect(geqo!.value).toBe('off')
  await pools.close()
})

/** Starts a server that accepts connections and calls `then` with each. */
async function listen(then: (socket: net.Socket) => void) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    then(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return { port, close: () => server.close() }
}

test.each<[string, (socket: net.Socket) => void, RegExp]>([
  ['closes each connection', (socket) => socket.end(), /closed the connection/],
  [
    'closes a connection on its first message',
    (socket) => socket.once('data', () => socket.end()),
    /closed/,
  ],
  ['never answers', () => {}, /did not answer in time/],
  [
    'does not speak PostgreSQL',
    (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    /as PostgreSQL/,
  ],
])('a server that %s is given up in bounded time', async (_, then, expected) => {
  const { port, close } = await listen(then)
  for (const sslmode of ['require', 'prefer']) {
    const url = `postgres://u:p@127.0.0.1:${port}/db?connect_timeout=1&sslmode=${sslmode}`
    const sql = connectAsOwner({ url })
    const error = await sql`select 1`.catch((refused: Error) => refused)
    expect((error as Error).message).toMatch(expected)
    await sql.end()
  }
  close()
})

test('a start that reaches no database prints one sentence, without user or password', async () => {
  const dataDir = await makeDataDir()
  const port = await freePort()
  const start = async (DATABASE_URL: string) => {
    const service = runTallybook(['serve'], dataDir.path, { DATABASE_URL })
    expect(await service.exited).toBe(1)
    return service.stderr.text()
  }
  expect(await start(`postgres://u:s3cr%23t@localhost:${port}/db`)).toBe(
    "The service could not start: the database can't be reached " +
      `(localhost:${port}: no server is listening there).\n`,
  )
  const unknownHost = await start('postgres://u:s3cr%23t@no-such-host.invalid/db')
  expect(unknownHost).toMatch(/no-such-host\.invalid:5432: (there is no host|the host name)/)
  expect(unknownHost).not.toContain('s3cr')
  await dataDir.remove()
})

test('a service finds the primary among several hosts', async () => {
  const dataDir = await makeDataDir()
  const service = runTallybook(['serve'], dataDir.path, {
    DATABASE_URL: urlOf(['standby', 'absent', 'primary'], ''),
  })
  const url = await readUrl(service)
  expect((await fetch(`${url}/health/ready`)).status).toBe(200)
  service.kill('SIGTERM')
  expect(await service.exited).toBe(0)
  await dataDir.remove()
})
