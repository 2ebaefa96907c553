import { afterAll, beforeAll, expect, test } from 'bun:test'
import {
  connectAsOwner,
  type ServerAddress,
  type Sql,
  type Transaction,
} from '../../src/platform/postgres/pool.ts'
import type { Report } from '../../src/proofs/integrity/verify.ts'
import { outcomeOf } from '../support/archive.ts'
import { makeDataDir, type Process, readUrl, runTallybook } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// The tests share a data directory, and a test may leave its service to the next one.

let dataDir: Awaited<ReturnType<typeof makeDataDir>>
let service: Process
let url: string
const started: Process[] = []

beforeAll(async () => {
  dataDir = await makeDataDir('migrated')
  await serve()
  await fill()
})
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL')
  await Promise.all(started.map((child) => child.exited))
  await dataDir.remove()
})

function run(args: string[], env: Record<string, string> = {}): Process {
  const child = runTallybook(args, dataDir.path, env)
  started.push(child)
  return child
}

async function runToEnd(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await outcomeOf(run(args, env))
  return { exitCode: code, output: stdout, errors: stderr }
}

async function serve(): Promise<void> {
  service = run(['serve'])
  url = await readUrl(service)
}

async function fill(): Promise<void> {
  await send('admin', 'PUT', '/admin/catalog', { api_keys: [{ id: 1 }] })
  const keys = [{ api_key_id: 1, requests: 5, success_requests: 4 }]
  for (let i = 0; i < 3; i++) await send('dp', 'POST', '/internal/apikey-stats/flush', { keys })
}

async function send(role: keyof typeof TOKENS, method: string, path: string, body: unknown) {
  const headers = { authorization: `Bearer ${TOKENS[role]}` }
  const response = await fetch(url + path, { method, headers, body: JSON.stringify(body) })
  expect(response.status).toBe(200)
}

const request = (path: string, method = 'GET') =>
  fetch(url + path, { method, headers: { authorization: `Bearer ${TOKENS.admin}` } })

const post = () => request('/admin/verifications', 'POST')

async function readStates(): Promise<string[]> {
  const response = await request('/admin/verifications')
  const { items } = (await response.json()) as { items: { state: string }[] }
  return items.map(({ state }) => state)
}

/** Resolves when a connection waits for the lock of this table. */
const untilWaiting = (sql: Sql | Transaction, table: string) =>
  until(async () => {
    const rows = await sql`
      select from pg_locks l
      where not l.granted and l.relation = ${table}::text::regclass`
    return rows.length > 0
  })

test('verify checks the database of a running and of a stopped service', async () => {
  const running = await runToEnd(['verify'])
  expect(running).toMatchObject({ exitCode: 0 })
  expect(running.output).toBe('4 events checked, up to 0/3\nNo problems\n')
  service.kill('SIGTERM')
  await service.exited
  const stopped = await runToEnd(['verify', '--json'])
  expect(stopped.exitCode).toBe(0)
  expect(JSON.parse(stopped.output)).toEqual({
    positions: '0/3',
    events: 4,
    problems: 0,
    first: [],
  } satisfies Report)
  await serve()
})

test('Ctrl-C ends verify with 130, even while it waits for a lock', async () => {
  const owner = connectToDatabase()
  await owner.begin(async (transaction) => {
    await transaction`lock table tokens`
    const child = run(['verify'])
    await untilWaiting(transaction, 'tokens')
    child.kill('SIGINT')
    expect(await child.exited).toBe(130)
  })
  await owner.end()
})

test('a killed verification, alone or with the service, does not block the next one', async () => {
  const owner = connectToDatabase()
  const connection = await owner.reserve()
  await connection`begin`
  await connection`lock table tokens`
  const alone = run(['verify'])
  await untilWaiting(connection, 'tokens')
  alone.kill('SIGKILL')
  await alone.exited
  expect((await post()).status).toBe(202)
  await untilWaiting(connection, 'tokens')
  service.kill('SIGKILL')
  await service.exited
  connection.release()
  await owner.end({ timeout: 0 })

  await serve()
  expect(await readStates()).toEqual(['killed'])
  expect((await post()).status).toBe(202)
  const states = await until(async () => {
    const states = await readStates()
    return states[0] !== 'running' && states
  })
  expect(states).toEqual(['finished', 'killed'])
})

test('verify exits with 1 if there is a problem, and prints where', async () => {
  const owner = connectToDatabase()
  await owner`alter table events disable trigger user`
  await owner`update events set payload = (payload::text || ' ')::json where position = 2`
  await owner.end()
  const { exitCode, output } = await runToEnd(['verify'])
  expect(exitCode).toBe(1)
  expect(output).toMatch(/^0\/2 \(payload\): expected payload_sha256 [0-9a-f]{64}, found /m)
  expect(output).toMatch(/\d+ problems\n$/)
})

test('verify exits with 2 if it cannot check, and prints why', async () => {
  const nowhere = { TALLYBOOK_DATA_DIR: `${dataDir.path}-none` }
  const missing = await runToEnd(['verify'], nowhere)
  expect(missing.exitCode).toBe(2)
  expect(missing.errors).toContain('There is no database in')
  expect(await runToEnd(['verify', '--yaml'])).toMatchObject({ exitCode: 2 })
  expect(missing.output).toBe('')
})

/** Connects to the running service's database as its owner. */
function connectToDatabase(): Sql {
  const address: ServerAddress = {
    host: `${dataDir.path}/postgres`,
    port: 5432,
    user: 'tallybook',
    database: 'tallybook',
  }
  return connectAsOwner(address)
}
