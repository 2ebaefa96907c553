import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readWritable } from '../../src/retention/archive.ts'
import type { ListedSegment } from '../../src/retention/list.ts'
import { makeArchive, useSmallSegments } from '../support/archived.ts'
import { insertFlushes } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import {
  type DataDir,
  makeDataDir,
  type Process,
  readUrl,
  runTallybook,
} from '../support/process.ts'
import { createDatabase, type TestDatabase, urlOf } from '../support/server.ts'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// Of several services with an archive, one writes segments; when it is killed, another does.

const archive = await makeArchive()
const folder = join(fileURLToPath(archive.url!), 'shard-0')
let database: TestDatabase
let dataDir: DataDir
let first: Process
let url: string
let second: TestService

const start = (...args: string[]) =>
  runTallybook(args, dataDir.path, {
    ...{ DATABASE_URL: urlOf(database.address), TALLYBOOK_SHARDS: '1' },
    TALLYBOOK_ARCHIVE_URL: archive.url!,
  })

beforeAll(async () => {
  database = await createDatabase({ shards: 1 })
  dataDir = await makeDataDir()
  await useSmallSegments(database, 1, 64, 12)
  await insertFlushes(database.owner, 150)
  first = start('serve')
  await readUrl(first)
  await until(async () => {
    const signed = await database.owner`select from tree_heads h where h.size >= 128`
    return signed.length > 0 && (await readWritable(database.owner)).length === 2
  })
  // A service looks for segments when it starts, and after a minute.
  first.kill('SIGTERM')
  await first.exited
  first = start('serve')
  url = await readUrl(first)
  second = await startTestService({ database, shards: 1, archive })
})

afterAll(async () => {
  first.kill('SIGKILL')
  await second.end()
  await Promise.all([dataDir.remove(), archive.remove()])
})

type Page = { items: ListedSegment[]; next_cursor: string | null }

async function untilWritten(count: number): Promise<void> {
  await until(async () => {
    const { items } = await second.read<Page>('/admin/segments')
    return items.filter(({ state }) => state === 'written').length === count
  })
}

test('one of two services writes, once, and heads are signed', async () => {
  await untilWritten(2)
  expect(await readdir(folder)).toHaveLength(2)
  const headers = { authorization: `Bearer ${TOKENS.auditor}` }
  const keys = (await (await fetch(`${url}/audit/log/keys`, { headers })).text()).trim().split('\n')
  const others = (await (await second.fetch('auditor', '/audit/log/keys')).text())
    .trim()
    .split('\n')
  const verify = async (...names: string[]) => {
    const args = names.flatMap((key) => ['--key', key])
    const child = start('segments', 'verify', '--archive', archive.url!, ...args)
    return `${await child.exited} ${await child.stdout.text()}`
  }
  expect(await verify(...keys)).toBe('0 2 segments with 128 events. No problems\n')
  const refused = await verify(...others)
  expect(refused).toStartWith('1 ')
  expect(refused).toContain('its signed head is refused')
  const child = start('segments', 'verify', '--key', 'no key')
  expect(await child.exited).toBe(2)
})

test('pages of segments follow each other, and only admins and auditors read them', async () => {
  const whole = await second.read<Page>('/admin/segments')
  const items: ListedSegment[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const after: string = cursor === '' ? '' : `&cursor=${cursor}`
    const page: Page = await second.read<Page>(`/admin/segments?limit=5${after}`)
    expect(page.items.length).toBeLessThanOrEqual(5)
    items.push(...page.items)
    cursor = page.next_cursor
  }
  expect(items).toEqual(whole.items)
  expect(items).toHaveLength(12)
  expect((await second.fetch('auditor', '/admin/segments')).status).toBe(200)
  await expectProblem(await second.fetch('dp', '/admin/segments'), 403, 'forbidden')
  await expectProblem(await second.fetch(null, '/admin/segments'), 401, 'unauthorized')
  const refusals = [
    ...['limit=0', 'limit=1001'].map((query) => [query, 'invalid request'] as const),
    ...['cursor=0', 'cursor=0/x', 'cursor=-1/0'].map((query) => [query, 'invalid query'] as const),
  ]
  for (const [query, error] of refusals) {
    await expectProblem(await second.fetch('admin', `/admin/segments?${query}`), 400, error)
  }
})

test('the other writes what becomes full after the first was killed', async () => {
  first.kill('SIGKILL')
  await first.exited
  await insertFlushes(database.owner, 70)
  await untilWritten(3)
  expect(await readdir(folder)).toHaveLength(3)
}, 120_000)
