import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClientOptions, TallybookClient } from '../../clients/typescript/src/index.ts'
import { TOKENS, useService } from '../support/service.ts'

// Batches that a program seals by itself: they are counted exactly if what belongs to them was
// stored.

const service = useService({ registerPerDay: 100 })

const CLIENT = join(import.meta.dir, '../../clients/typescript/src/index.ts')
const RECORDS = [
  { key: 'sk-1', requests: 1, successRequests: 1 },
  { key: 'sk-1', name: 'checkout', group: 'openai', requests: 2 },
]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tallybook-batches-'))
  await service.putCatalog({ provider_groups: [{ id: 3, name: 'x', external_id: 'openai' }] })
})
afterAll(() => rm(folder, { recursive: true }))

const optionsOf = (spool: string) => ({
  ...{ url: service.url, token: TOKENS.dp, instance: 'gw', spool: join(folder, spool) },
  backoff: { firstMs: 2, longestMs: 10 },
})
const open = (spool: string, options: Partial<ClientOptions> = {}) =>
  TallybookClient.open({ ...optionsOf(spool), ...options })

type Row = { id: number; name: string; group_id: number; total_requests: number }
const readKeys = async () => (await service.read<{ items: Row[] }>('/admin/api-keys')).items

async function requestsOf(key: string): Promise<number> {
  const { items } = await service.read<{
    items: { external_id: string; total_requests: number }[]
  }>('/admin/api-keys')
  return items.find(({ external_id }) => external_id === key)?.total_requests ?? 0
}

test('a batch is one flush, which is sent after what belongs to it was stored', async () => {
  const client = await open('one')
  const countedAt = Math.floor(Date.now() / 1_000) - 3_600
  let waiting: string[] = []
  const settle = async () => {
    waiting = await readdir(join(folder, 'one/sealed'))
    expect(await requestsOf('sk-1')).toBe(0)
  }
  await client.sealBatch(RECORDS, { countedAt, note: 'a', settle })
  await client.drained()
  expect(waiting).toHaveLength(1)
  expect(await requestsOf('sk-1')).toBe(3)
  expect(await readKeys()).toMatchObject([{ name: 'checkout', group_id: 3 }])
  const events = await service.read<{ items: { payload: { counted_at?: number } }[] }>(
    '/audit/events?type=ApiKeyStatsFlushed',
  )
  expect(events.items).toMatchObject([{ payload: { counted_at: countedAt } }])
  expect(client.metrics()).toContain('\ntallybook_client_recorded_total 2\n')
  await client.close()
})

test('a batch counts nothing if storing fails, and the next one has its number', async () => {
  const client = await open('failed')
  const settle = () => Promise.reject(new Error('disk full'))
  const records = [{ key: 'sk-2', requests: 1 }]
  expect(await client.sealBatch(records, { settle }).catch(String)).toContain('disk full')
  expect(await readdir(join(folder, 'failed/sealed'))).toEqual([])
  expect(() => client.sealBatch([{ key: 'sk-2', requests: -1 }])).toThrow(TypeError)
  await client.sealBatch(records)
  expect(await client.close()).toEqual({ flushes: 0, unsealed: 0, rejected: 0 })
  expect(await requestsOf('sk-2')).toBe(1)
  expect(client.metrics()).toContain('\ntallybook_client_recorded_total 1\n')
  // Flush 0 was sent, and then the end of the epoch.
  const { items } = await service.read<{ items: { idempotency_key: string }[] }>(
    '/audit/events?type=ApiKeyStatsFlushed',
  )
  expect(items.slice(-2).map((item) => item.idempotency_key.split('/').at(-1))).toEqual(['0', '1'])
  expect(() => client.sealBatch(records)).toThrow('closed')
})

test('a process that is killed between the two leaves the note to the next', async () => {
  const script = `
    const { TallybookClient } = await import(${JSON.stringify(CLIENT)})
    const client = await TallybookClient.open(${JSON.stringify(optionsOf('killed'))})
    const settle = () => process.kill(process.pid, 'SIGKILL')
    await client.sealBatch([{ key: 'sk-3', requests: 1 }], { note: 'line 12', settle })`
  await Bun.spawn([process.execPath, '-e', script]).exited
  expect(await requestsOf('sk-3')).toBe(0)
  const refused = open('killed', { onNotes: () => Promise.reject(new Error('disk full')) })
  expect(await refused.catch(String)).toContain('disk full')
  expect(await requestsOf('sk-3')).toBe(0)
  const notes: string[] = []
  const onNotes = (all: readonly string[]) => {
    notes.push(...all)
  }
  const client = await open('killed', { onNotes })
  await client.drained()
  expect(notes).toEqual(['line 12'])
  expect(await requestsOf('sk-3')).toBe(1)
  await client.close()
})
