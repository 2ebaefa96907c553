import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useCommands } from '../cli/one-process.ts'
import { hasPeer } from '../support/extended.ts'
import { startMariaDb } from '../support/mariadb.ts'
import { useService } from '../support/service.ts'
import { createOldDatabase, ofService, readSchema, type TestOldDatabase } from './old-databases.ts'

// New API and One API are moved from SQLite, PostgreSQL and MySQL, with the same result.

const KEYS = [1, 2, 3, 4].map((i) => `SECRET${i}`.padEnd(48, 'x'))
const hashOf = (i: number) => hash('sha256', `sk-${KEYS[i - 1]}`, 'hex')

const ROWS = `
  insert into users (id, username, "group") values (1, 'ann', 'vip'), (2, 'bo', 'default');
  insert into tokens (id, user_id, "key", name, accessed_time, remain_quota, unlimited_quota,
      used_quota, "group", deleted_at) values
    (1, 1, '${KEYS[0]}', 'ci', 1700000000, 600000, false, 400000, '', null),
    (2, 2, '${KEYS[1]}', 'chat', 0, 0, true, 7, 'special', null),
    (3, 2, '${KEYS[2]}', 'overdrawn', 1700000001, -5, false, 105, '', null),
    (4, 2, '${KEYS[3]}', 'gone', 0, 10, false, 0, '', '2026-01-01 00:00:00');
  insert into logs (id, type, token_id, prompt_tokens, completion_tokens) values
    (1, 2, 1, 100, 20), (2, 2, 1, 3, 0), (3, 5, 1, 0, 0), (4, 2, 2, 50, 50), (5, 1, 1, 9, 9);`

const sqlite = join(tmpdir(), `tallybook-new-api-${process.pid}.db`)
let postgres: TestOldDatabase
const mariaDb = hasPeer('mariadbd') ? startMariaDb() : null
beforeAll(async () => {
  postgres = await createOldDatabase('new-api')
  await postgres.run(ROWS)
  const database = new Database(sqlite, { create: true })
  database.run(readSchema('new-api'))
  database.run(ROWS)
  database.close()
  const statements = [readSchema('new-api').replaceAll(/^--.*$/gm, ''), ROWS].join('').split(';')
  const mode = "set sql_mode = 'ANSI_QUOTES'"
  await (await mariaDb)?.run([mode, ...statements.filter((statement) => /\w/.test(statement))])
}, 60_000)
afterAll(async () => {
  await (await mariaDb)?.stop()
  rmSync(sqlite, { force: true })
  await postgres?.drop()
})

const service = useService()
const commands = useCommands()
const run = (...args: string[]) => commands.run(args, ofService(service))

type Row = Record<string, unknown>
const read = async (path: string) => (await service.read<{ items: Row[] }>(path)).items

test('tokens become API keys and token keys, from all databases alike', async () => {
  const mysql = (await mariaDb)?.url
  // A DSN as New API has it in SQL_DSN.
  const dsn = mysql?.replace(/^mysql:..root@([^/]+)/, 'root@tcp($1)').concat('?parseTime=true')
  for (const location of [sqlite, postgres.url, mysql, dsn]) {
    if (location === undefined) continue
    const { code, stdout, stderr } = await run('move-in', 'new-api', location)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout + stderr).not.toContain('SECRET')
    const groups = await read('/admin/provider-groups')
    expect(
      groups.map(({ external_id, total_requests, success_requests }) => [
        ...[external_id, total_requests, success_requests],
      ]),
    ).toEqual([
      ['default', 0, 0],
      ['special', 1, 1],
      ['vip', 3, 2],
    ])
    const apiKeys = await read('/admin/api-keys?ended=true&sort=name')
    const names = apiKeys.map(({ name, external_id }) => [name, external_id])
    expect(names).toEqual([
      ['chat', hashOf(2)],
      ['ci', hashOf(1)],
      ['gone', hashOf(4)],
      ['overdrawn', hashOf(3)],
    ])
    const keys = await read('/admin/keys?ended=true&sort=name')
    const ofKey = (row: Row) => [
      row.request_count,
      row.used_tokens,
      row.quota_limit,
      row.quota_used,
    ]
    expect(keys.map(ofKey)).toEqual([
      [1, 100, -1, 7],
      [3, 123, 1_000_000, 400_000],
      [0, 0, 10, 0],
      // Nothing remains, and less than that.
      [0, 0, 100, 105],
    ])
    expect(keys.map(({ ended_at }) => ended_at !== undefined)).toEqual([false, false, true, false])
    expect((await run('compare', location)).code).toBe(0)
    expect((await run('move-in', 'new-api', '--undo')).code).toBe(0)
  }
})

test('nothing of the texts of keys is in the log', async () => {
  const response = await service.fetch('admin', '/audit/events?shard=0&limit=1000')
  const text = await response.text()
  expect(text).toContain(hashOf(1))
  expect(text).not.toContain('SECRET')
})

test('--quotas drop moves keys without limits, and compares no quotas', async () => {
  expect((await run('move-in', 'new-api', sqlite, '--quotas', 'drop')).code).toBe(0)
  const keys = await read('/admin/keys?sort=name')
  expect(keys.map(({ quota_limit, quota_used }) => [quota_limit, quota_used])).toEqual(
    Array(3).fill([-1, 0]),
  )
  expect((await run('compare', sqlite)).code).toBe(0)
  expect((await run('move-in', 'new-api', '--undo')).code).toBe(0)
})

test('requests of tokens that are not there any more refuse the move, until they are skipped', async () => {
  await postgres.run('insert into logs (id, type, token_id, prompt_tokens) values (6, 2, 99, 5)')
  const refused = await run('move-in', 'new-api', postgres.url)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('--skip orphaned-usage')
  const skipped = ['--skip', 'orphaned-usage', '--dry-run']
  expect((await run('move-in', 'new-api', postgres.url, ...skipped)).code).toBe(0)
})

test('One API, which has no groups of tokens and no token in its log lines, has only quotas', async () => {
  const path = join(tmpdir(), `tallybook-one-api-${process.pid}.db`)
  const database = new Database(path, { create: true })
  database.run(readSchema('new-api'))
  database.run(ROWS)
  database.run(`alter table tokens drop column "group"; alter table tokens drop column deleted_at;
    alter table logs drop column token_id`)
  database.close()
  const bytes = readFileSync(path)
  const { code, stdout } = await run('move-in', 'new-api', path)
  expect(code).toBe(0)
  expect(stdout).toContain('no log lines by token')
  const [overdrawn] = await read('/admin/keys?search=overdrawn')
  expect(overdrawn).toMatchObject({ request_count: 0, quota_limit: 100, quota_used: 105 })
  // Nothing was written to the file.
  expect(readFileSync(path).equals(bytes)).toBe(true)
  rmSync(path)
})

test('a server that does not answer, a file that is not there and one that is none are refused', async () => {
  for (const location of [
    ...['mysql://root:secret@127.0.0.1:1/oneapi', 'root:secret@tcp(127.0.0.1:1)/oneapi'],
    ...['/nowhere/one-api.db', import.meta.path, 'http://localhost/'],
  ]) {
    const { code, stdout, stderr } = await run('move-in', 'new-api', location, '--dry-run')
    expect({ location, code, stdout }).toEqual({ location, code: 1, stdout: '' })
    expect(stderr).not.toContain('secret')
  }
  expect((await run('move-in', 'litellm', sqlite, '--dry-run')).code).toBe(1)
})
