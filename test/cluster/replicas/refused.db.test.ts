import { afterAll, beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { Reads } from '../../../src/cluster/replicas/reads.ts'
import { openPools, type Pools, type ServerAddress } from '../../../src/platform/postgres/pool.ts'
import { makeDataDir, readUrl, runTallybook } from '../../support/process.ts'
import { TEST_SHARDS } from '../../support/server.ts'
import { startFreezable } from './freezable-proxy.ts'
import { type ReplicatedService, startReplicated, until } from './replicated.ts'
import { type Servers, startServers, type TestServer } from './servers.ts'

// The service reads only from replicas of its own database.

let servers: Servers
let unrelated: TestServer
let one: ReplicatedService
let pools: Pools

beforeAll(async () => {
  servers = await startServers(TEST_SHARDS)
  unrelated = await servers.addUnrelated()
  one = await startReplicated(servers.primary, [])
  pools = openPools(servers.primary.address, TEST_SHARDS)
})
afterAll(async () => {
  await pools?.close()
  await one?.service.end()
  await servers?.end()
})

const open = (...replicas: ServerAddress[]) =>
  Reads.open({ sql: pools.read, replicas, logger: pino({ level: 'silent' }) })

/** Returns the name and message of the error that refuses a start. */
async function refusalOf(...replicas: ServerAddress[]): Promise<string> {
  const outcome = await open(...replicas).catch((error: Error) => error)
  if (outcome instanceof Error) return `${outcome.name}: ${outcome.message}`
  await outcome.close()
  return 'not refused'
}

test('a database of another server is refused, even if its log is empty', async () => {
  const sentence = await refusalOf(servers.replica.address, unrelated.address)
  expect(sentence).toStartWith("UserError: Server 2 of DATABASE_READ_URL isn't a replica")
  expect(sentence).not.toContain(unrelated.address.host)
})

test('another database of the same server is refused', async () => {
  await servers.primary.run('create database other template template0')
  const address = { ...servers.primary.address, database: 'other' }
  expect(await refusalOf(address)).toContain("isn't a replica of the database of DATABASE_URL")
})

test('the primary itself is not a replica, and reads use its own pool', async () => {
  const reads = await open(servers.primary.address)
  expect(reads.replicas.map(({ state, why }) => [state, why])).toEqual([
    ['refused', 'not a replica'],
  ])
  const [row] = await reads.read(null, async (sql) => sql`select pg_is_in_recovery() as standby`)
  expect(row).toEqual({ standby: false })
  await reads.close()
})

test('a promoted replica is refused, and reported as another log once it diverges', async () => {
  const promoted = await servers.addReplica()
  const two = await startReplicated(servers.primary, [promoted.address])
  try {
    await two.waitForStates('used')
    // Without waiting, because a waiting call holds a snapshot, which can block replay.
    await promoted.run('select pg_promote(false)')
    await two.waitForStates('refused')
    expect((await two.readReplicas())[0]!.why).toBe('not a replica')
    await one.post()
    const { total } = await one.readTotal()
    expect((await two.readTotal()).total).toBe(total)

    const other = await startReplicated(promoted, [])
    await other.post()
    await other.service.end()
    await until(async () => (await two.readReplicas())[0]!.why === 'other log')
    expect((await two.readTotal()).total).toBe(total)
    expect(await refusalOf(promoted.address)).toContain('has events that the log')
  } finally {
    await two.service.end()
  }
})

test('a service starts without its replica, and reads from it once it is available', async () => {
  const late = await servers.addReplica()
  const { address } = late
  await late.stop()
  const two = await startReplicated(servers.primary, [address])
  try {
    expect((await two.readReplicas())[0]!.state).toBe('away')
    const { total } = await two.readTotal()
    await late.start()
    await two.waitForStates('used')
    expect((await two.readTotal()).total).toBe(total)
  } finally {
    await two.service.end()
  }
})

test('`serve` reads from DATABASE_READ_URL, and reports what is wrong with it', async () => {
  const proxies = await Promise.all(
    [servers.primary, servers.replica, unrelated].map(({ address }) => startFreezable(address)),
  )
  const [primary, replica, foreign] = proxies.map(({ address }) => {
    const { host, port, user, database } = address as typeof servers.primary.address
    return `postgres://${user}:s3cr%23t@${host}:${port}/${database}`
  })
  const dataDir = await makeDataDir()
  const environment = (DATABASE_READ_URL: string) => ({
    DATABASE_URL: primary!,
    DATABASE_READ_URL,
    TALLYBOOK_SHARDS: String(TEST_SHARDS),
  })
  const service = runTallybook(['serve'], dataDir.path, environment(replica!))
  const url = await readUrl(service)
  await until(async () => {
    const ready = (await (await fetch(`${url}/health/ready`)).json()) as { replicas: string[] }
    return ready.replicas[0] === 'used'
  })
  service.kill('SIGTERM')
  expect(await service.exited).toBe(0)

  const refused = runTallybook(['serve'], dataDir.path, environment(foreign!))
  expect(await refused.exited).toBe(1)
  const stderr = await refused.stderr.text()
  expect(stderr).toContain("Server 1 of DATABASE_READ_URL isn't a replica")
  expect(stderr).not.toContain('s3cr')
  await Promise.all(proxies.map((proxy) => proxy.close()))
  await dataDir.remove()
})
