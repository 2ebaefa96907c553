import { Database } from 'bun:sqlite'
import { afterEach, beforeEach, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { readKey, useCollectProcess } from '../support/collect.ts'
import { createDatabase, type TestDatabase, urlOf } from '../support/server.ts'
import { useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// Records that are read from the tables and the queue of gateways.

const service = useService({ registerPerDay: 1_000 })

const collector = useCollectProcess(service)
let old: TestDatabase | null = null

beforeEach(async () => {
  await service.putCatalog(LLM_CONVENTIONS)
})
afterEach(async () => {
  await old?.drop()
  old = null
})

async function start(pull: object): Promise<void> {
  const config = join(collector.folder, 'collect.yaml')
  await writeFile(
    config,
    JSON.stringify({ pull: [{ every_seconds: 0.1, settle_seconds: 0.1, ...pull }] }),
  )
  const OLD_DATABASE = old === null ? '' : urlOf(old.address)
  const env = { OLD_DATABASE, OLD_SECRET: 'management-key' }
  await collector.start({ args: ['--config', config], env })
}

async function restart(pull: object): Promise<void> {
  await collector.kill()
  await start(pull)
}

const rowOf = (key: string) => readKey(service, key)
const untilCounted = (key: string, requests: number) =>
  until(async () => {
    const row = await rowOf(key)
    return row?.total_requests === requests && row
  })

const sha256 = (text: string) => hash('sha256', text, 'hex')
const HOUR_AGO = Math.floor(Date.now() / 1_000) - 3_600

test('lines of New API are counted once, for the key that clients send', async () => {
  old = await createDatabase({ empty: true })
  const sql = old.owner
  await sql.unsafe(`
    set search_path = public;
    create table tokens (id bigint primary key, key text, name text);
    create table logs (id bigserial primary key, user_id bigint, created_at bigint, type integer,
      token_name text, token_id bigint, model_name text, quota bigint, prompt_tokens bigint,
      completion_tokens bigint, "group" text, other text);
    insert into tokens values (33, 'abc', 'prod');`)
  const insert = (type: number, fields: object = {}) => {
    const line = {
      ...{ user_id: 1, created_at: HOUR_AGO, type, token_name: 'prod', token_id: 33 },
      ...{ model_name: 'gpt-5', quota: 5_000, prompt_tokens: 100, completion_tokens: 20 },
      ...{ group: 'vip', other: JSON.stringify({ cache_tokens: 40 }), ...fields },
    }
    return sql`insert into logs ${sql(line)}`
  }
  const claude = { claude: true, cache_tokens: 40, cache_creation_tokens: 10 }
  await insert(2)
  await insert(1)
  await insert(2, { other: JSON.stringify(claude) })
  await insert(5, {
    quota: 0,
    prompt_tokens: 0,
    completion_tokens: 0,
    other: JSON.stringify({ status_code: 429 }),
  })
  await insert(2, { quota: -100, prompt_tokens: 0 })
  const pull = { name: 'gw', preset: 'new-api', location: 'env:OLD_DATABASE', from: 'start' }
  await start(pull)
  const key = sha256('sk-abc')
  expect(await untilCounted(key, 3)).toMatchObject({
    name: 'prod',
    success_requests: 2,
    measures: {
      ...{ input_tokens: 160, cache_read_tokens: 80, cache_write_tokens: 10 },
      ...{ output_tokens: 40, cost_micros: 20_000 },
    },
  })
  expect(await (await fetch(`${collector.url}/metrics`)).text()).toContain(
    'counted_total{input="gw"} 3\n',
  )
  await restart(pull)
  await insert(2)
  await untilCounted(key, 4)
})

test('lines of New API in a database of their own count for the keys in the main one', async () => {
  old = await createDatabase({ empty: true })
  await old.owner.unsafe(`
    set search_path = public;
    create table tokens (id bigint primary key, key text);
    create table options (key text primary key, value text);
    insert into tokens values (33, 'split-1'), (34, 'split-2');
    insert into options values ('QuotaPerUnit', '1000');`)
  const path = join(collector.folder, 'logs.db')
  const logs = new Database(path, { create: true })
  logs.run('pragma busy_timeout = 10000')
  logs.run(`create table logs (id integer primary key, created_at bigint, type integer,
    token_name text, token_id integer, model_name text, quota integer, prompt_tokens integer,
    completion_tokens integer)`)
  const insert = (token: number, name = 'prod') =>
    logs.run(
      `insert into logs (created_at, type, token_name, token_id, model_name, quota, prompt_tokens,
        completion_tokens) values (${HOUR_AGO}, 2, '${name}', ${token}, 'gpt-5', 5, 1, 2)`,
    )
  for (const token of [33, 33, 34, 99]) insert(token)
  insert(0, 'before tokens had ids')
  insert(0, '')
  const pull = { name: 'split', preset: 'new-api', location: path, from: 'start' }
  await start({ ...pull, main: 'env:OLD_DATABASE' })
  expect(await untilCounted(sha256('sk-split-1'), 2)).toMatchObject({
    measures: { cost_micros: 10_000 },
  })
  await untilCounted(sha256('sk-split-2'), 1)
  // A token that is gone has its id left.
  await untilCounted('99', 1)
  await untilCounted('before tokens had ids', 1)
  const metrics = await (await fetch(`${collector.url}/metrics`)).text()
  expect(metrics).toContain('malformed_total{input="split"} 1\n')
  logs.close()
})

test('a source states a main database only if it can be apart', async () => {
  const place = { location: 'http://127.0.0.1:1', main: 'main.db' }
  const started = start({ name: 'cpa', preset: 'cli-proxy-api', ...place })
  expect(started).rejects.toThrow('pull.cpa: main is for new-api and one-api only.')
  await started.catch(() => {})
})

test('lines of One API in a file of SQLite: from now on, and without tests of channels', async () => {
  const path = join(collector.folder, 'one-api.db')
  const database = new Database(path, { create: true })
  // As One API does, for the collector reads meanwhile.
  database.run('pragma busy_timeout = 3000')
  database.run(`create table logs (id integer primary key, user_id integer, created_at bigint,
    type integer, token_name text, model_name text, quota integer, prompt_tokens integer,
    completion_tokens integer)`)
  const insert = (type: number) =>
    database.run(
      `insert into logs (created_at, type, token_name, model_name, quota, prompt_tokens,
        completion_tokens) values (${HOUR_AGO}, ${type}, 'cli', 'gpt-5', 500000, 1, 2)`,
    )
  insert(2)
  await start({ name: 'one', preset: 'one-api', location: path })
  // The first poll has found where to begin.
  await until(async () => {
    const state = new Database(join(collector.folder, 'collect/state.sqlite'))
    state.run('pragma busy_timeout = 10000')
    const row = state.query(`select cursor from cursors where source = 'one'`).get()
    state.close()
    return row !== null
  })
  insert(5)
  insert(2)
  expect(await untilCounted('cli', 1)).toMatchObject({ measures: { cost_micros: 1_000_000 } })
  database.close()
})

test('lines of LiteLLM count once, also those that are written later', async () => {
  old = await createDatabase({ empty: true })
  const sql = old.owner
  await sql.unsafe(`
    set search_path = public;
    create table "LiteLLM_SpendLogs" (request_id text primary key, call_type text, api_key text,
      spend float8, prompt_tokens integer, completion_tokens integer, "startTime" timestamp(3),
      "endTime" timestamp(3), model text, model_group text, custom_llm_provider text, metadata jsonb,
      cache_hit text, status text)`)
  const insert = (id: string, minutesAgo: number, fields: object = {}) => {
    const at = new Date(Date.now() - minutesAgo * 60_000).toISOString().slice(0, -1)
    const usage_object = { cache_read_input_tokens: 4 }
    const line = {
      ...{ request_id: id, call_type: 'acompletion', api_key: '88dc', spend: 0.0123345 },
      ...{ prompt_tokens: 10, completion_tokens: 2, startTime: at, endTime: at, model: 'claude' },
      ...{ model_group: 'claude', custom_llm_provider: 'anthropic', cache_hit: 'False' },
      metadata: sql.json({ user_api_key_alias: 'team-a', usage_object }),
      ...{ status: 'success', ...fields },
    }
    return sql`insert into "LiteLLM_SpendLogs" ${sql(line)}`
  }
  await insert('a', 60)
  await insert('b', 5)
  await insert('c', 4, { cache_hit: 'True' })
  const pull = { name: 'llm', preset: 'litellm', location: 'env:OLD_DATABASE', from: 'start' }
  await start(pull)
  expect(await untilCounted('88dc', 2)).toMatchObject({
    name: 'team-a',
    measures: { input_tokens: 12, cache_read_tokens: 8, output_tokens: 4, cost_micros: 24_670 },
  })
  await restart(pull)
  await insert('late', 10)
  await insert('new', 0)
  await untilCounted('88dc', 4)
  await Bun.sleep(300)
  expect((await rowOf('88dc'))!.total_requests).toBe(4)
})

test('the queue of CLIProxyAPI is emptied, and its keys are hashed', async () => {
  const record = (i: number) => ({
    ...{ timestamp: new Date(Date.now() - i).toISOString(), request_id: `r${i}`, auth_index: 'a' },
    ...{ provider: 'claude', model: 'claude-sonnet', api_key: 'sk-local', failed: i === 2 },
    ...{ tokens: { input_tokens: 12 }, fail: { status_code: i === 2 ? 429 : 200 } },
    token_breakdown: {
      input: { total_tokens: 112, uncached_tokens: 12, cache_read_tokens: 100 },
      output: { total_tokens: 30, reasoning_tokens: 10 },
    },
  })
  // What version 7.2.140 has answered after a request that succeeded, and one that was refused.
  const recorded = join(import.meta.dir, 'records/cli-proxy-api-7.2.140-usage-queue.json')
  const real = (await Bun.file(recorded).json()) as object[]
  const timestamp = new Date().toISOString()
  const queue: unknown[] = [
    ...[record(0), record(1), record(2), { refresh: true }],
    ...real.map((one) => ({ ...one, timestamp })),
  ]
  const authorizations = new Set<string | null>()
  const gateway = Bun.serve({
    port: 0,
    fetch: (request) => {
      authorizations.add(request.headers.get('authorization'))
      return Response.json(queue.splice(0, 500))
    },
  })
  try {
    const location = gateway.url.href
    await start({ name: 'cpa', preset: 'cli-proxy-api', location, secret: 'env:OLD_SECRET' })
    expect(await untilCounted(sha256('sk-local'), 5)).toMatchObject({
      success_requests: 3,
      measures: {
        ...{ input_tokens: 836, cache_read_tokens: 500 },
        ...{ output_tokens: 130, reasoning_tokens: 60 },
      },
    })
    expect([...authorizations]).toEqual(['Bearer management-key'])
  } finally {
    await gateway.stop(true)
  }
})
