import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { hashPayload } from '../../src/events/event.ts'
import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import { expectTidy, isTidy, readLiveGenerations } from '../support/generations.ts'
import { makeDataDir, type Process, readUrl, runTallybook } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'
import { useCommands } from './one-process.ts'

// `tallybook rebuild` while a service runs, and rebuilds that the service itself starts.

const EVENTS = 500

const commands = useCommands()
let data: Awaited<ReturnType<typeof makeDataDir>>
let service: Process
let url: string
let owner: Sql

beforeAll(async () => {
  data = await makeDataDir('migrated')
  await start()
  await send('PUT', '/admin/catalog', {
    provider_groups: [{ id: 1 }],
    api_keys: [1, 2, 3].map((id) => ({ id, group_id: 1 })),
  })
  const payload = JSON.stringify({
    ...{ groups: [1], counts: [3], ids: [1, 2, 3], requests: [5, 6, 7] },
    ...{ failing: [0], failures: [1] },
  })
  await owner`
    insert into events (shard, position, type, version, recorded_at, source, payload, payload_sha256)
    select 0, i, 'ApiKeyStatsFlushed', 2, clock_timestamp(), 'dp', ${payload}::text::json,
      decode(${hashPayload(payload)}, 'hex')
    from generate_series(1, ${EVENTS}::integer) i`
}, 120_000)
afterAll(async () => {
  await stop()
  await data.remove()
})

async function start(): Promise<void> {
  service = runTallybook(['serve'], data.path)
  url = await readUrl(service)
  owner = connectToDatabase()
}

const connectToDatabase = () =>
  connectAsOwner({
    ...{ host: join(data.path, 'postgres'), port: 5432, user: 'tallybook', database: 'tallybook' },
  })

/** Closes the connection to the database and stops the service. */
async function stop(): Promise<void> {
  await owner.end({ timeout: 1 })
  service.kill('SIGTERM')
  await service.exited
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

type Item = { name: string; version: number; generation: number; rebuild: Rebuild | null }
type Rebuild = { generation: number; state: string; drifted_rows: number | null; drift: object[] }

async function readProjection(name: string): Promise<Item> {
  const { items } = (await (await send('GET', '/admin/projections')).json()) as { items: Item[] }
  return items.find((item) => item.name === name)!
}

/** Runs `work` with the live projection's checkpoints locked, so that no rebuild of it can end. */
async function whileLocked<Value>(projection: string, work: () => Promise<Value>): Promise<Value> {
  const locks = connectToDatabase()
  const value = await locks.begin(async (transaction) => {
    await transaction`select from checkpoints where projection = ${projection} for update`
    return work()
  })
  await locks.end()
  return value as Value
}

const readTotal = async () => (await send('GET', '/admin/apikey-stats/summary')).text()

async function run(...args: string[]) {
  const command = runTallybook(['rebuild', ...args], data.path)
  const [stdout, stderr] = await Promise.all([command.stdout.text(), command.stderr.text()])
  return { exitCode: await command.exited, stdout, stderr }
}

test('rebuild prints the rows that differed, and the service shows the correct numbers', async () => {
  const before = await readTotal()
  await owner`update provider_group_counters set requests = requests + 1`
  expect(await readTotal()).not.toBe(before)
  const { exitCode, stdout } = await run()
  expect(exitCode).toBe(0)
  expect(stdout).toContain('provider_group_counters: generation 2 is live, rows that differed: 1')
  const sum = EVENTS * 18
  expect(stdout).toContain(
    `provider_group_counters shard=0 provider_group_id=1: was requests=${sum + 1} ` +
      `successes=${sum - EVENTS}, is requests=${sum} successes=${sum - EVENTS}`,
  )
  for (const { name } of PROJECTIONS) expect(stdout).toContain(`${name}: generation 2 is live`)
  expect(await readTotal()).toBe(before)
  expect((await readProjection('provider_group_counters')).rebuild).toMatchObject({
    ...{ generation: 2, state: 'live', drifted_rows: 1 },
  })
  await expectTidy(owner)
})

test('a rebuild started over HTTP runs once at a time and reports its result', async () => {
  const before = await readProjection('api_key_counters')
  await whileLocked('api_key_counters', async () => {
    const answer = await send('POST', '/admin/projections/api_key_counters/rebuild')
    expect(answer.status).toBe(202)
    expect(await answer.json()).toEqual({
      ...{ projection: 'api_key_counters', replaces: before.generation },
    })
    const again = await send('POST', '/admin/projections/api_key_counters/rebuild')
    expect(again.status).toBe(409)
  })
  const { generation, rebuild } = await until(async () => {
    const projection = await readProjection('api_key_counters')
    const isLive = projection.rebuild?.state === 'live'
    return isLive && projection.generation > before.generation ? projection : null
  })
  expect(rebuild).toMatchObject({ generation, state: 'live', drifted_rows: 0, drift: [] })
})

test.each(['SIGINT', 'SIGKILL'] as const)(
  'a rebuild that %s ended leaves nothing behind and can be run again',
  async (signal) => {
    // The generation that the previous rebuild replaced is dropped when no transaction reads it.
    await until(() => isTidy(owner))
    const generations = await readLiveGenerations(owner)
    const exitCode = await whileLocked('snapshots', async () => {
      const command = runTallybook(['rebuild', '--projection', 'snapshots'], data.path)
      await until(async () => {
        const [row] = await owner`select from rebuilds where finished_at is null`
        return row ?? null
      })
      command.kill(signal)
      return command.exited
    })
    if (signal === 'SIGINT') {
      expect(exitCode).toBe(130)
      await expectTidy(owner)
    } else {
      // As if its last heartbeat were an hour ago.
      await owner`update rebuilds set seen_at = now() - interval '1 hour' where finished_at is null`
    }
    expect(await readLiveGenerations(owner)).toEqual(generations)
    expect(await run('--projection', 'snapshots')).toMatchObject({ exitCode: 0 })
    await expectTidy(owner)
  },
)

test('a projection made by an older version is rebuilt at the next start', async () => {
  const before = await readProjection('usage')
  const total = await readTotal()
  await owner`update projections set version = 0 where projection = 'usage'`
  await stop()
  await start()
  expect(await readTotal()).toBe(total)
  const { version, rebuild } = await until(async () => {
    const projection = await readProjection('usage')
    const isLive = projection.rebuild?.state === 'live'
    return isLive && projection.generation > before.generation ? projection : null
  })
  expect(version).toBe(before.version)
  expect(rebuild).toMatchObject({ state: 'live', drifted_rows: null })
})

test.each(['--projection', '--projection none', 'usage'])('rebuild %p is refused', async (args) => {
  expect(await commands.run(['rebuild', ...args.split(' ')])).toMatchObject({
    ...{ code: 1, stderr: expect.stringContaining('Usage: tallybook rebuild') },
  })
})

test('rebuild runs without a service', async () => {
  await stop()
  expect(await run('--projection', 'usage', '--projection', 'catalog')).toMatchObject({
    ...{ exitCode: 0, stdout: expect.stringContaining('usage: generation') },
  })
})
