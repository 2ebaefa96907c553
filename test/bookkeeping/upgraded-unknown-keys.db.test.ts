import { afterAll, beforeAll, expect, test } from 'bun:test'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { bookkeeping } from '../../src/read-model/projections/bookkeeping.ts'
import { verify } from '../proofs/integrity/history.ts'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// A log of a release that knew nothing of unknown keys: its projection of bookkeeping has none, so
// it is rebuilt from the log at the first start.

let service: TestService
/** The position of a flush that names a known and an unknown key. */
let mixed: string

const flush = async (...keys: object[]) =>
  positionOf(await service.post('/internal/apikey-stats/flush', { keys }))

const post = (path: string, body: object) =>
  service.fetch('admin', path, { method: 'POST', body: JSON.stringify(body) })

const read = (path: string) => service.fetch('admin', path)

/** Makes the projection what the release before has left. */
async function forgetUnknownKeys(): Promise<void> {
  const owner = connectAsOwner(service.database.address)
  await owner`update projections set version = 1 where projection = 'bookkeeping'`
  for (const table of ['unknown_keys', 'unknown_usage', 'unknown_parts', 'unknown_taken']) {
    await owner`delete from ${owner(table)}`
  }
  await owner.end()
}

beforeAll(async () => {
  service = await startTestService()
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  mixed = await flush({ api_key_id: 1, requests: 1 }, { api_key_id: 7, requests: 2 })
  await flush({ api_key_id: 7, requests: 3 })
  expect((await read('/admin/unknown-keys?kind=api_key')).status).toBe(200)
})

afterAll(() => service.end())

test('until it is rebuilt, only what needs unknown keys is answered 503', async () => {
  await forgetUnknownKeys()
  for (const response of [
    await read('/admin/unknown-keys?kind=api_key'),
    await post('/admin/unknown-keys/adopt', { api_keys: [{ id: 8 }] }),
    await post('/admin/corrections', { reverse: mixed, reason: 'posted twice' }),
  ]) {
    expect(response.headers.get('retry-after')).toBe('10')
    await expectProblem(response, 503, 'projection rebuilding')
  }
  for (const path of ['apikey-stats/summary', 'api-keys', 'corrections', 'usage']) {
    expect((await read(`/admin/${path}`)).status).toBe(200)
  }
  const plain = await flush({ api_key_id: 1, requests: 4 })
  const reversed = await post('/admin/corrections', { reverse: plain, reason: 'posted twice' })
  expect(reversed.status).toBe(201)
})

test('after the next start it lists what was posted before, which can be adopted', async () => {
  await service.stop()
  const { database } = service
  service = await startTestService({ database })
  await until(async () => {
    expect((await read('/admin/apikey-stats/summary')).status).toBe(200)
    const list = await read('/admin/unknown-keys?kind=api_key')
    if (list.status === 503) await expectProblem(list, 503, 'projection rebuilding')
    return list.status === 200
  })
  const { items } = await service.read<{ items: object[] }>('/admin/unknown-keys?kind=api_key')
  expect(items).toMatchObject([{ id: 7, requests: 5, flushes: 2 }])
  const adopted = await post('/admin/unknown-keys/adopt', { api_keys: [{ id: 7, group_id: 1 }] })
  expect(await adopted.json()).toMatchObject({ api_keys: 1, requests: 5 })
  const [row] = await database.owner<{ version: number }[]>`
    select p.version from projections p where p.projection = 'bookkeeping'`
  expect(row!.version).toBe(bookkeeping.version)
  expect(await verify(database)).toMatchObject({ problems: 0, first: [] })
})
