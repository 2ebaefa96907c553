import { beforeAll, expect, test } from 'bun:test'
import type { SourceItem } from '../../src/sources/read.ts'
import { expectProblem } from '../support/problem.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'

// Who posts flushes, and which are missing, as GET /admin/sources shows it.

const API_KEYS = '/internal/apikey-stats/flush'
const KEYS = '/internal/stats/flush'

const service = useService()
const tokens = new Map<string, string>()

beforeAll(async () => {
  await service.putCatalog({ api_keys: [{ id: 1 }], keys: [{ token_hash: 'k' }] })
})

/** Posts a flush as a source of this name, whose token is created first. */
async function post(source: string, sequence: string | null, at: TestService = service) {
  const headers = {
    authorization: `Bearer ${await tokenOf(source)}`,
    ...(sequence !== null && { 'tallybook-sequence': sequence }),
  }
  const body = JSON.stringify({ keys: [{ api_key_id: 1, requests: 3, success_requests: 2 }] })
  const response = await fetch(at.url + API_KEYS, { method: 'POST', headers, body })
  expect(response.status).toBe(200)
}

async function tokenOf(name: string): Promise<string> {
  const known = tokens.get(name)
  if (known !== undefined) return known
  const init = { method: 'POST', body: JSON.stringify({ name, role: 'dp' }) }
  const response = await service.fetch('admin', '/admin/tokens', init)
  const { token } = (await response.json()) as { token: string }
  tokens.set(name, token)
  return token
}

async function postAll(source: string, sequences: readonly string[]): Promise<void> {
  for (const sequence of sequences) await post(source, sequence)
}

const readOne = (name: string) => service.read<SourceItem>(`/admin/sources/${name}`)
const missingOf = async (name: string) =>
  (await readOne(name)).epochs.map(({ epoch, missing }) => [epoch, missing])

test('a source has its flushes and what they count, known or not', async () => {
  const keys = [
    { token_hash: 'k', requests: 4, tokens: 50 },
    { token_hash: 'x', requests: 1 },
  ]
  const apiKeys = [
    { api_key_id: 1, requests: 3, success_requests: 2 },
    { api_key_id: 99, requests: 1 },
  ]
  await service.post(API_KEYS, { keys: apiKeys })
  await service.post(KEYS, { keys })
  await service.post(KEYS, { keys })
  const { items } = await service.read<{ items: SourceItem[] }>('/admin/sources')
  expect(items.map(({ name }) => name)).toEqual(['dp'])
  expect(items[0]).toMatchObject({
    flushes: 3,
    api_keys: { flushes: 1, requests: 4, success_requests: 2 },
    keys: { flushes: 2, requests: 10, tokens: 100 },
    ...{ silent: false, missing_flushes: 0, epochs: [] },
  })
  expect(items[0]!.usual_interval).toBeGreaterThan(0)
})

test('a gap is shown until it is filled, over all shards', async () => {
  await postAll('gaps', ['e/0', 'e/1', 'e/4', 'e/6-7', 'f/0'])
  expect(await missingOf('gaps')).toEqual([
    ['f', []],
    [
      'e',
      [
        [2, 3],
        [5, 5],
      ],
    ],
  ])
  expect((await readOne('gaps')).missing_flushes).toBe(3)
  await postAll('gaps', ['e/3', 'e/5'])
  expect(await missingOf('gaps')).toEqual([
    ['e', [[2, 2]]],
    ['f', []],
  ])
  await post('gaps', 'e/2-3;last')
  const { missing_flushes, epochs } = await readOne('gaps')
  expect(missing_flushes).toBe(0)
  expect(epochs[0]).toMatchObject({ epoch: 'e', next: 8, missing: [], ended: true })
})

test('a large flush is counted', async () => {
  const body = JSON.stringify({ keys: [{ token_hash: 'k', requests: 7, tokens: 9 }] })
  const headers = { authorization: `Bearer ${await tokenOf('large')}`, 'tallybook-sequence': 'e/1' }
  const large = { method: 'POST', headers, body: body.padEnd(300 * 1_024) }
  expect((await fetch(service.url + KEYS, large)).status).toBe(200)
  expect(await readOne('large')).toMatchObject({ keys: { flushes: 1, requests: 7, tokens: 9 } })
  expect(await missingOf('large')).toEqual([['e', [[0, 0]]]])
})

test('a client that invents epochs has 64 of them', async () => {
  await postAll(
    'many',
    Array.from({ length: 70 }, (_, i) => `e${i}/${i === 69 ? 1 : 0}`),
  )
  const { epochs, missing_flushes } = await readOne('many')
  expect(epochs.map(({ epoch }) => epoch)).toEqual(
    Array.from({ length: 64 }, (_, i) => `e${69 - i}`),
  )
  // One that comes back misses nothing of before: it is not known what had arrived.
  const before = missing_flushes
  await post('many', 'e0/8')
  expect(await readOne('many')).toMatchObject({
    missing_flushes: before,
    epochs: [{ epoch: 'e0', next: 9, missing: [] }, ...epochs.slice(0, 63)],
  })
})

test('pages follow each other, and a cursor of something else is refused', async () => {
  type Page = { items: SourceItem[]; next_cursor: string | null }
  const all = await service.read<Page>('/admin/sources')
  const names: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const after = cursor === '' ? '' : `&cursor=${cursor}`
    const page: Page = await service.read<Page>(`/admin/sources?limit=1${after}`)
    names.push(...page.items.map(({ name }) => name))
    cursor = page.next_cursor
  }
  expect(names).toEqual(all.items.map(({ name }) => name))
  const wrong = await service.fetch('admin', '/admin/sources?cursor=abc')
  await expectProblem(wrong, 400, 'invalid query')
  await expectProblem(await service.fetch('admin', '/admin/sources/nobody'), 404, 'not found')
  await expectProblem(await service.fetch('dp', '/admin/sources'), 403, 'forbidden')
})

test('folded again from the log, or by another instance, everything is the same', async () => {
  const before = await service.read<{ items: SourceItem[] }>('/admin/sources')
  const { owner } = service.database
  await owner`update source_folds set version = 0`
  expect(await service.read<typeof before>('/admin/sources')).toEqual(before)

  await tokenOf('both')
  const other = await startTestService({ database: service.database })
  try {
    await post('both', 'e/0')
    await post('both', 'e/2', other)
    const read = async (at: TestService) =>
      (await at.read<SourceItem>('/admin/sources/both')).epochs[0]?.missing
    expect(await read(service)).toEqual([[1, 1]])
    await post('both', 'e/1', other)
    expect(await read(other)).toEqual([])
    expect(await read(service)).toEqual([])
    await owner`update source_folds set version = 0`
    const again = await other.read<typeof before>('/admin/sources')
    expect(await service.read<typeof before>('/admin/sources')).toEqual(again)
  } finally {
    await other.stop()
  }
})

test('a source is silent after five of its intervals and ten seconds, unless it ended', async () => {
  const { owner } = service.database
  const readSilent = async (name: string) => (await readOne(name)).silent
  await postAll('dead', ['e/0', 'e/1', 'e/2'])
  await postAll('stopped', ['e/0', 'e/1', 'e/2;last'])
  await postAll('young', ['e/0', 'e/1'])
  for (const name of ['dead', 'stopped', 'young']) await readOne(name)
  /** Moves the newest flushes to so many seconds ago, two seconds apart. */
  const age = (seconds: number) => owner`
    update sources
    set recent = array(
      select statement_timestamp() - make_interval(secs => ${seconds}::float8 + 2 * i)
      from generate_series(0, cardinality(recent) - 1) as g(i)
    )
    where source in ('dead', 'stopped', 'young')`
  await age(10)
  expect(await readSilent('dead')).toBe(false)
  await age(25)
  expect(await readOne('dead')).toMatchObject({ silent: true, usual_interval: 2 })
  expect(await readSilent('stopped')).toBe(false)
  expect(await readSilent('young')).toBe(false)
  const { items } = await service.read<{ items: SourceItem[] }>('/admin/sources')
  const silent = items.filter((item) => item.silent).length
  const missing = items.reduce((sum, { missing_flushes }) => sum + missing_flushes, 0)
  const { sources } = await service.read<{ sources: object }>('/admin/status')
  expect(sources).toEqual({ silent, missing_flushes: missing })
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  expect(metrics).toContain(`\ntallybook_sources_silent ${silent}\n`)
  expect(metrics).toContain(`\ntallybook_missing_flushes ${missing}\n`)
  await post('dead', 'e/3')
  expect(await readSilent('dead')).toBe(false)
  await age(25)
  expect(await readSilent('dead')).toBe(true)
  const revoked = await service.fetch('admin', '/admin/tokens/dead', { method: 'DELETE' })
  expect(revoked.status).toBe(204)
  expect(await readSilent('dead')).toBe(false)
})
