import { afterAll, beforeAll, expect, test } from 'bun:test'
import { appendAct } from '../../src/bookkeeping/append-act.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { startBarrier } from '../support/barrier.ts'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'

// Idempotency keys of acts: a repeat finds the first attempt of the same token, whatever other
// acts were recorded in between.

const service = useService()
let pools: Pools

beforeAll(async () => {
  pools = openPools(service.database.address, TEST_SHARDS)
  await service.putCatalog({ api_keys: [{ id: 1 }] })
})
afterAll(() => pools.close())

const adjustment = (requests: number) => ({
  reason: 'by hand',
  api_keys: { ids: [1], requests: [requests], successes: [0] },
})
const body = (requests: number) =>
  JSON.stringify({
    reason: 'by hand',
    adjust: { api_keys: [{ id: 1, total_requests: requests, success_requests: 0 }] },
  })
const adjust = (requests: number, key: string, on: TestService = service) =>
  on.fetch('admin', '/admin/corrections', {
    method: 'POST',
    headers: { 'idempotency-key': key },
    body: body(requests),
  })
const total = async () =>
  (await service.read<{ total_requests: number }>('/admin/api-keys/1')).total_requests

test('two admins may use one key', async () => {
  const created = await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: JSON.stringify({ name: 'another', role: 'admin' }),
  })
  const { token } = (await created.json()) as { token: string }
  const before = await total()
  const first = await adjust(1, 'shared')
  const other = (requests: number) =>
    service.fetch(null, '/admin/corrections', {
      method: 'POST',
      headers: { 'idempotency-key': 'shared', authorization: `Bearer ${token}` },
      body: body(requests),
    })
  const answers = [await other(2), await other(2), await adjust(1, 'shared')]
  expect([first, ...answers].map(({ status }) => status)).toEqual([201, 201, 201, 201])
  const isReplay = ({ headers }: Response) => headers.has('idempotency-replayed')
  expect([first, ...answers].map(isReplay)).toEqual([false, false, true, true])
  expect(await total()).toBe(before + 3)
})

test('an attempt that overtakes another one with its key, and differs, is told so', async () => {
  const barrier = await startBarrier(service.database.address, 'isolation level repeatable read')
  const other = await startTestService({ database: service.database, address: barrier.address })
  const before = await total()
  // It has found no earlier attempt, and decides when the first one is in the log.
  const late = adjust(7, 'overtaken', other)
  await barrier.reached
  expect((await adjust(5, 'overtaken')).status).toBe(201)
  expect(await total()).toBe(before + 5)
  barrier.release()
  await expectProblem(await late, 422, 'idempotency key reused')
  expect(await total()).toBe(before + 5)
  await other.stop()
  await barrier.close()
})

test('a late repeat leaves the newest act as it is', async () => {
  const append = (before: number, requests: number, key: string) => {
    const event = { type: 'TotalsAdjusted', payload: adjustment(requests) } as const
    return appendAct(pools.append, before, event, 'admin', key)
  }
  const newest = Number(positionOf(await adjust(1, 'first')).split('/')[1])
  const first = await append(newest, 2, 'repeated')
  const second = await append(first!.position, 3, 'between')
  const repeat = await append(second!.position, 2, 'repeated')
  expect(repeat).toEqual({ position: first!.position, replayed: true })
  expect(await append(first!.position, 4, 'late')).toBeNull()
  expect(await append(second!.position, 4, 'next')).toMatchObject({ replayed: false })
})
