import { afterEach, beforeEach, expect, test } from 'bun:test'
import { chownSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { tryLock } from '../../src/db/embedded/lock.ts'
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

let dataDir: DataDir
let other: DataDir
let archive: string
let started: Process[] = []

beforeEach(async () => {
  dataDir = await makeDataDir()
  other = await makeDataDir()
  archive = join(dirname(dataDir.path), 'archive')
})
afterEach(async () => {
  for (const service of started) service.kill('SIGKILL')
  await Promise.all(started.map((service) => service.exited))
  started = []
  await dataDir.remove()
  await other.remove()
})

async function serve(path: string, env: Record<string, string> = {}) {
  const service = runTallybook(['serve'], path, env)
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

test('a log moves from one data directory to another, whether its service runs or not', async () => {
  await copyCluster(dataDir.path)
  const four = { TALLYBOOK_SHARDS: '4' }
  const { service, url } = await serve(dataDir.path, four)
  await count(url)
  const summary = await readSummary(url)
  // Through the running service's socket, which goes on.
  expect(await run(['export', archive], dataDir.path)).toMatchObject({ code: 0, stderr: '' })
  expect(await readSummary(url)).toBe(summary)
  await stop(service)
  // By a server of the command's own, which is gone afterwards.
  expect(await run(['export', `${archive}-2`], dataDir.path, four)).toMatchObject({ code: 0 })
  expect(existsSync(join(dataDir.path, 'postgres/postmaster.pid'))).toBe(false)

  // A fresh database is made with the archive's number of shards.
  const imported = await run(['import', `${archive}-2`], other.path)
  expect(imported.code).toBe(0)
  expect(withoutPaths(imported.stdout, dataDir)).toMatchSnapshot()
  const moved = await serve(other.path, four)
  expect(await readSummary(moved.url)).toBe(summary)
  expect((await flush(moved.url)).headers.get('idempotency-replayed')).toBe('true')
  expect(await readSummary(moved.url)).toBe(summary)

  const again = await run(['import', archive], other.path)
  expect(again.code).toBe(1)
  expect(withoutPaths(again.stderr, dataDir)).toMatchSnapshot()
  await stop(moved.service)
})

test('an import into a database of another number of shards is refused', async () => {
  await copyCluster(dataDir.path)
  const { service, url } = await serve(dataDir.path)
  await count(url)
  expect(await run(['export', archive], dataDir.path)).toMatchObject({ code: 0 })
  await stop(service)
  const wanted = await run(['import', archive], other.path, { TALLYBOOK_SHARDS: '2' })
  expect(wanted).toMatchObject({ code: 1 })
  expect(wanted.stderr).toMatchSnapshot()
  expect(existsSync(other.path)).toBe(false)

  await copyCluster(other.path)
  const made = await serve(other.path, { TALLYBOOK_SHARDS: '2' })
  await stop(made.service)
  const refused = await run(['import', archive], other.path)
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.stderr).toMatchSnapshot()
})

test('a command makes no database of its own but to import', async () => {
  const outcome = await run(['export', archive], dataDir.path)
  expect(outcome.code).toBe(1)
  expect(withoutPaths(outcome.stderr, dataDir)).toMatchSnapshot()
  expect(existsSync(dataDir.path)).toBe(false)
})

test('Ctrl-C while the database starts stops it again', async () => {
  await copyCluster(dataDir.path)
  const pidFile = join(dataDir.path, 'postgres/postmaster.pid')
  const command = runTallybook(['export', archive], dataDir.path)
  while (!existsSync(pidFile) && command.exitCode === null) await Bun.sleep(1)
  command.kill('SIGINT')
  expect(await outcomeOf(command)).toEqual({ code: 130, stdout: '', stderr: 'Interrupted.\n' })
  expect(existsSync(pidFile)).toBe(false)
  expect(existsSync(archive)).toBe(false)
})

test('a service that is just starting or stopping is not disturbed', async () => {
  const cluster = join(dataDir.path, 'postgres')
  mkdirSync(cluster, { recursive: true })
  if (process.getuid?.() === 0) chownSync(cluster, NOBODY.uid, NOBODY.gid)
  const lock = tryLock(join(dataDir.path, 'postgres.lock'))!
  const outcome = await run(['export', archive], dataDir.path)
  lock.release()
  expect(outcome).toMatchObject({ code: 1, stdout: '' })
  expect(outcome.stderr).toMatchSnapshot()
})

test('a database that can not be reached, a wrong word, and no target get a sentence', async () => {
  const env = { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' }
  const away = await run(['export', archive], dataDir.path, env)
  expect(away).toMatchObject({ code: 1, stdout: '' })
  expect(away.stderr).toContain('DATABASE_URL')
  expect(away.stderr).not.toContain('secret')
  for (const args of [['export'], ['export', '--parket', 'x'], ['import'], ['import', 'a', 'b']]) {
    const wrong = await run(args, dataDir.path)
    expect(wrong).toMatchObject({ code: 1, stdout: '' })
    expect(wrong.stderr).toStartWith('Usage: tallybook ')
  }
  expect(await run(['verify'], dataDir.path)).toMatchObject({ code: 2 })
})
