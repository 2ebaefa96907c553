import { beforeAll, expect, test } from 'bun:test'
import { countFlushes, positionOf } from '../support/events.ts'
import { readProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// The header Tallybook-Sequence is part of the event, and changes nothing that the flush counts.

const API_KEYS = '/internal/apikey-stats/flush'
const KEYS = '/internal/stats/flush'

const service = useService()

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }],
    keys: [{ token_hash: 'k' }],
  })
})

const apiKeys = { keys: [{ api_key_id: 1, requests: 3, success_requests: 2 }] }
const keys = { keys: [{ token_hash: 'k', requests: 2, tokens: 5 }] }
const numbered = (sequence: string) => ({ 'tallybook-sequence': sequence })

type Event = { version: number; payload: { sequence?: string } }
const readEvent = (position: string | null) => service.read<Event>(`/audit/events/${position}`)

const readTotals = async () => ({
  apiKey: await service.read('/admin/api-keys/1'),
  group: await service.read('/admin/provider-groups/1'),
  key: await service.read('/admin/keys/k'),
})

test.each([
  [API_KEYS, apiKeys, 6],
  [KEYS, keys, 4],
])('a flush to %s has its sequence in its event', async (path, body, version) => {
  const plain = await service.post(path, body)
  const response = await service.post(path, body, numbered('gw-1/5-6;last'))
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual(await plain.json())
  expect(await readEvent(positionOf(response))).toMatchObject({
    version,
    payload: { sequence: 'gw-1/5-6;last' },
  })
  expect((await readEvent(positionOf(plain))).payload).not.toHaveProperty('sequence')
})

test('totals grow as without a sequence', async () => {
  const before = await readTotals()
  await service.post(API_KEYS, apiKeys, numbered('gw-1/7'))
  await service.post(KEYS, keys, numbered('gw-1/8'))
  const after = await readTotals()
  const grown = (name: 'apiKey' | 'group' | 'key', member: string) => {
    const [then, now] = [before[name], after[name]] as Record<string, number>[]
    return now![member]! - then![member]!
  }
  expect(grown('apiKey', 'total_requests')).toBe(3)
  expect(grown('group', 'success_requests')).toBe(2)
  expect(grown('key', 'used_tokens')).toBe(5)
})

test('a large flush has it, too', async () => {
  const body = JSON.stringify(apiKeys).padEnd(300 * 1_024)
  const response = await service.post(API_KEYS, body, numbered('gw-1/9'))
  expect(await readEvent(positionOf(response))).toMatchObject({ payload: { sequence: 'gw-1/9' } })
})

test('a retry may have another sequence, and the first one stays', async () => {
  const headers = { 'idempotency-key': 'sequenced' }
  const first = await service.post(API_KEYS, apiKeys, { ...headers, ...numbered('gw-1/10') })
  for (const other of [numbered('gw-2/0;last'), {}]) {
    const retry = await service.post(API_KEYS, apiKeys, { ...headers, ...other })
    expect(retry.headers.get('idempotency-replayed')).toBe('true')
    expect(positionOf(retry)).toEqual(positionOf(first))
  }
  expect(await readEvent(positionOf(first))).toMatchObject({ payload: { sequence: 'gw-1/10' } })
})

test('an invalid header is refused, and nothing is recorded', async () => {
  const flushes = await countFlushes(service.database.owner)
  for (const sequence of ['', 'gw-1', 'gw-1/01', 'gw-1/2-1', 'gw-1/1;LAST', 'a b/1']) {
    const response = await service.post(API_KEYS, apiKeys, numbered(sequence))
    expect(await readProblem(response)).toMatchObject({ status: 400, error: 'invalid sequence' })
  }
  expect(await countFlushes(service.database.owner)).toBe(flushes)
})

test('the view of entries shows such flushes like any other', async () => {
  const response = await service.post(KEYS, keys, numbered('gw-1/11'))
  const [shard, position] = positionOf(response)!.split('/')
  const rows = await service.database.owner`
    select token_hash, requests::integer, tokens::integer
    from flush_entries
    where shard = ${shard!}::integer and position = ${position!}::bigint`
  expect([...rows]).toEqual([{ token_hash: 'k', requests: 2, tokens: 5 }])
})
