import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test'
import { chownSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { exportLog } from '../../src/cli/export.ts'
import { importLog } from '../../src/cli/import.ts'
import { tryLock } from '../../src/platform/postgres/embedded/lock.ts'
import { outcomeOf } from '../support/archive.ts'
import { copyCluster } from '../support/cluster.ts'
import {
  type DataDir,
  makeDataDir,
  type Process,
  readUrl,
  runTallybook,
  withoutPaths,
} from '../support/process.ts'
import { TOKENS } from '../support/service.ts'

const NOBODY = { uid: 65534, gid: 65534 }

const FOUR = { TALLYBOOK_SHARDS: '4' }

// A log of four shards, its archive, and a service that runs until a test stops it.
let operator: DataDir
let service: Process
let url: string
let archive: string
/** A data directory for each test. */
let dataDir: DataDir
const started: Process[] = []

beforeAll(async () => {
  operator = await makeDataDir('empty')
  archive = join(dirname(operator.path), 'archive')
  ;({ service, url } = await serve(operator.path))
  await count(url)
  // The export connects through the running service's socket.
  expect(await run(['export', archive], operator.path)).toMatchObject({ code: 0, stderr: '' })
})
beforeEach(async () => {
  dataDir = await makeDataDir()
})
afterEach(() => dataDir.remove())
afterAll(async () => {
  for (const process of started) process.kill('SIGKILL')
  await Promise.all(started.map((process) => process.exited))
  await operator.remove()
})

async function serve(path: string) {
  const service = runTallybook(['serve'], path, FOUR)
  started.push(service)
  return { service, url: await readUrl(service) }
}

async function stop(service: Process): Promise<void> {
  service.kill('SIGTERM')
  expect(await service.exited).toBe(0)
}

const run = (args: string[], path: string, env: Record<string, string> = {}) =>
  outcomeOf(runTallybook(args, path, env))

async function send(url: string, role: keyof typeof TOKENS, method: string, body?: string) {
  const headers = { authorization: `Bearer ${TOKENS[role]}`, 'idempotency-key': 'flush-1' }
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) })
  expect(response.status).toBe(200)
  return { text: await response.text(), headers: response.headers }
}

async function count(url: string): Promise<void> {
  const catalog = '{"provider_groups":[{"id":1}],"api_keys":[{"id":1,"group_id":1}]}'
  await send(`${url}/admin/catalog`, 'admin', 'PUT', catalog)
  await flush(url)
}

const flush = (url: string) => {
  const body = '{"keys":[{"api_key_id":1,"requests":5,"success_requests":4}]}'
  return send(`${url}/internal/apikey-stats/flush`, 'dp', 'POST', body)
}

const readSummary = async (url: string) =>
  (await send(`${url}/admin/apikey-stats/summary`, 'auditor', 'GET')).text

test('a log moves to another data directory, with its service running or stopped', async () => {
  const summary = await readSummary(url)
  expect(JSON.parse(summary)).toMatchObject({ total_requests: 5 })
  await stop(service)
  // The command starts a server of its own, which is gone afterwards.
  const second = `${archive}-2`
  expect(await run(['export', second], operator.path, FOUR)).toMatchObject({ code: 0 })
  expect(existsSync(join(operator.path, 'postgres/postmaster.pid'))).toBe(false)

  // A new database is created with the archive's number of shards.
  const imported = await run(['import', second], dataDir.path)
  expect(imported.code).toBe(0)
  expect(withoutPaths(imported.stdout, operator)).toMatchSnapshot()
  const moved = await serve(dataDir.path)
  expect(await readSummary(moved.url)).toBe(summary)
  expect((await flush(moved.url)).headers.get('idempotency-replayed')).toBe('true')
  expect(await readSummary(moved.url)).toBe(summary)

  const again = await run(['import', archive], dataDir.path)
  expect(again.code).toBe(1)
  expect(withoutPaths(again.stderr, operator)).toMatchSnapshot()
  await stop(moved.service)
})

test('an import into a database with another number of shards is refused', async () => {
  const mismatch = await run(['import', archive], dataDir.path, { TALLYBOOK_SHARDS: '2' })
  expect(mismatch).toMatchObject({ code: 1 })
  expect(mismatch.stderr).toMatchSnapshot()
  expect(existsSync(dataDir.path)).toBe(false)

  await copyCluster(dataDir.path, 'migrated')
  const refused = await run(['import', archive], dataDir.path)
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.stderr).toMatchSnapshot()
})

test('export does not create a database', async () => {
  const outcome = await run(['export', join(dataDir.path, '../none')], dataDir.path)
  expect(outcome.code).toBe(1)
  expect(withoutPaths(outcome.stderr, dataDir)).toMatchSnapshot()
  expect(existsSync(dataDir.path)).toBe(false)
})

test('Ctrl-C during the start of the database stops it again', async () => {
  await copyCluster(dataDir.path)
  const pidFile = join(dataDir.path, 'postgres/postmaster.pid')
  const command = runTallybook(['export', join(dataDir.path, '../none')], dataDir.path)
  while (!existsSync(pidFile) && command.exitCode === null) await Bun.sleep(1)
  command.kill('SIGINT')
  expect(await outcomeOf(command)).toEqual({ code: 130, stdout: '', stderr: 'Interrupted.\n' })
  expect(existsSync(pidFile)).toBe(false)
  expect(existsSync(join(dataDir.path, '../none'))).toBe(false)
})

test('a command refuses to run while the service is starting or stopping', async () => {
  const cluster = join(dataDir.path, 'postgres')
  mkdirSync(cluster, { recursive: true })
  if (process.getuid?.() === 0) chownSync(cluster, NOBODY.uid, NOBODY.gid)
  const lock = tryLock(join(dataDir.path, 'postgres.lock'))!
  const outcome = await run(['export', join(dataDir.path, '../none')], dataDir.path)
  lock.release()
  expect(outcome).toMatchObject({ code: 1, stdout: '' })
  expect(outcome.stderr).toMatchSnapshot()
})

test('an unreachable database and invalid arguments are explained without secrets', async () => {
  const env = { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' }
  const unreachable = await run(['export', join(dataDir.path, '../none')], dataDir.path, env)
  expect(unreachable).toMatchObject({ code: 1, stdout: '' })
  expect(unreachable.stderr).toContain('DATABASE_URL')
  expect(unreachable.stderr).not.toContain('secret')
  const wrong = await run(['export'], dataDir.path)
  expect(wrong).toMatchObject({ code: 1, stdout: '' })
  expect(wrong.stderr).toStartWith('Usage: tallybook ')
  for (const [command, args] of [
    [exportLog, ['--parket', 'x']],
    [importLog, []],
    [importLog, ['a', 'b']],
  ] as const) {
    await expect(command([...args])).rejects.toThrow(/^Usage: tallybook /)
  }
  expect(await run(['verify'], dataDir.path)).toMatchObject({ code: 2 })
})
