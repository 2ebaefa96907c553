import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseVerifierKey } from '../../src/proofs/merkle/key.ts'
import { openTreeHead } from '../../src/proofs/merkle/tree-head.ts'
import { outcomeOf } from '../support/archive.ts'
import { makeDataDir, readUrl, runTallybook, withoutPaths } from '../support/process.ts'
import { TOKENS } from '../support/service.ts'
import { until } from '../support/until.ts'

// The commands and the service as processes, on an embedded database. The tests share a data
// directory, and each begins with the keys that the one before has left.

let dataDir: Awaited<ReturnType<typeof makeDataDir>>

beforeAll(async () => {
  dataDir = await makeDataDir('migrated')
})
afterAll(() => dataDir.remove())

async function run(
  args: string[],
  env: Record<string, string> = {},
): Promise<[code: number, out: string, errors: string]> {
  const { code, stdout, stderr } = await outcomeOf(runTallybook(args, dataDir.path, env))
  return [code, stdout, stderr]
}

/** Runs a service while `work` runs. */
async function whileServing(
  work: (get: (path: string, init?: RequestInit) => Promise<Response>) => Promise<void>,
  env: Record<string, string> = {},
): Promise<void> {
  const service = runTallybook(['serve'], dataDir.path, env)
  const url = await readUrl(service)
  await work((path, init = {}) =>
    fetch(url + path, {
      headers: {
        authorization: `Bearer ${path.startsWith('/internal') ? TOKENS.dp : TOKENS.auditor}`,
      },
      ...init,
    }),
  )
  service.kill('SIGTERM')
  await service.exited
}

const readKeys = async () => {
  const [code, out] = await run(['key'])
  expect(code).toBe(0)
  return out.trim().split('\n')
}

/** Posts a flush and returns the tree head that covers it. */
async function flushAndReadHead(get: (path: string, init?: RequestInit) => Promise<Response>) {
  const body = JSON.stringify({ keys: [{ api_key_id: 1, requests: 1 }] })
  const posted = await get('/internal/apikey-stats/flush', {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${TOKENS.dp}` },
  })
  const [shard, position] = posted.headers.get('tallybook-position')!.split('/').map(Number)
  return until(async () => {
    const note = await (await get(`/audit/log/${shard}/checkpoint`)).text()
    return Number(note.split('\n')[1]) > position! && { shard: shard!, note }
  })
}

test('there is no key before the first start, and then the one that the service shows', async () => {
  const [code, , errors] = await run(['key'])
  expect(code).toBe(1)
  expect(withoutPaths(errors, dataDir)).toMatchSnapshot()
  await whileServing(async (get) => {
    const shown = await (await get('/audit/log/keys')).text()
    expect(await readKeys()).toEqual(shown.trim().split('\n'))
    await flushAndReadHead(get)
  })
})

test('another origin in the environment is refused', async () => {
  const [code, , errors] = await run(['serve'], { TALLYBOOK_LOG_ORIGIN: 'else.example.com' })
  expect(code).toBe(1)
  expect(errors).toContain('the log has been signed as')
})

test('a rotated key signs together with the old one, and alone after that is retired', async () => {
  const [old] = await readKeys()
  const retired: string[] = [(await run(['key', 'retire']))[1]]
  expect((await run(['key', 'rotate']))[0]).toBe(0)
  const [newest, second] = await readKeys()
  expect([second, newest === old]).toEqual([old!, false])
  const [code, , errors] = await run(['key', 'retire'])
  expect(code).toBe(1)
  expect(errors.replace(/[\w.]*\+\S+/g, '<key>')).toMatchSnapshot()

  const opens = (note: string, key: string) =>
    openTreeHead(note, [parseVerifierKey(key)!]).kind === 'signed'
  await whileServing(async (get) => {
    const note = await (await get('/audit/log/0/checkpoint')).text()
    expect([opens(note, newest!), opens(note, old!)]).toEqual([true, true])
  })
  retired.push((await run(['key', 'retire']))[1])
  expect(retired).toMatchSnapshot()
  await whileServing(async (get) => {
    const note = await (await get('/audit/log/0/checkpoint')).text()
    expect([opens(note, newest!), opens(note, old!)]).toEqual([true, false])
  })
})

test('a restored backup is refused, and served under a new origin that links the old', async () => {
  const [cluster, backup] = ['postgres', 'backup'].map((name) => join(dataDir.path, name))
  await Bun.$`cp -a ${cluster} ${backup}`
  let last = { shard: 0, note: '' }
  await whileServing(async (get) => {
    last = await flushAndReadHead(get)
  })
  await Bun.$`rm -rf ${cluster} && mv ${backup} ${cluster}`
  const [code, , errors] = await run(['serve'])
  expect(code).toBe(1)
  expect(errors).toContain('was signed as')
  expect(errors).toContain('tallybook key new-origin')

  expect((await run(['key', 'new-origin', 'https://x']))[2]).toContain('without a scheme')
  expect((await run(['key', 'new-origin', 'stats.example.com/2']))[0]).toBe(0)
  expect((await run(['key', 'new-origin', 'stats.example.com/2']))[2]).toContain('already')
  expect(await readdir(join(dataDir.path, 'transparency'))).toContain('stats.example.com%2F2')
  await whileServing(async (get) => {
    const events = (await (
      await get(`/audit/events?shard=${last.shard}&type=OriginChanged`)
    ).json()) as {
      items: { source: string; payload: unknown }[]
    }
    expect(events.items).toMatchObject([
      {
        source: 'tallybook',
        payload: { origin: `stats.example.com/2/audit/log/${last.shard}`, previous: last.note },
      },
    ])
    const { note } = await flushAndReadHead(get)
    expect(note).toStartWith('stats.example.com/2/audit/log/')
  })
  // The event is appended once, however often the service starts.
  await whileServing(async (get) => {
    const events = (await (
      await get(`/audit/events?shard=${last.shard}&type=OriginChanged`)
    ).json()) as {
      items: unknown[]
    }
    expect(events.items).toHaveLength(1)
  })
})

test('a generated key signs for a data directory that is told of its file', async () => {
  const [code, generated] = await run(['key', 'generate', 'shared.example.com'])
  expect([code, generated.split('\n').length]).toEqual([0, 2])
  expect((await run(['key', 'generate', 'a b']))[2]).toContain('spaces')
  const keysFile = join(dataDir.path, 'shared-keys')
  await writeFile(keysFile, generated)
  const env = { TALLYBOOK_LOG_KEYS: keysFile }
  expect((await run(['key'], env))[2]).toContain('tallybook key new-origin shared.example.com')
  expect((await run(['key', 'new-origin', 'shared.example.com'], env))[0]).toBe(0)
  const [, shown] = await run(['key'], env)
  expect(shown).toStartWith('shared.example.com/audit/log/0+')
  await whileServing(async (get) => {
    const { note } = await flushAndReadHead(get)
    expect(openTreeHead(note, [parseVerifierKey(shown.trim())!]).kind).toBe('signed')
  }, env)
})
