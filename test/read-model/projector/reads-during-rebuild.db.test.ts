import { afterAll, beforeAll, expect, test } from 'bun:test'
import {
  connectAsOwner,
  openPools,
  type Pools,
  type Sql,
} from '../../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { rebuild } from '../../../src/read-model/rebuild/rebuild.ts'
import { expectTidy } from '../../support/generations.ts'
import { TEST_SHARDS } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Reads during a rebuild never fail, never go backwards, and miss nothing that was acknowledged.

type Rated = { total_requests: number }

const PATHS = ['/admin/apikey-stats/summary', '/admin/api-keys/1', '/admin/usage?api_key_id=1']

/** Milliseconds between two requests. Rebuilds take longer; without a pause they fill a core. */
const PAUSE_MS = 5

let service: TestService
let pools: Pools
let owner: Sql

beforeAll(async () => {
  service = await startTestService()
  pools = openPools(service.database.address, TEST_SHARDS)
  owner = connectAsOwner(service.database.address)
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})
afterAll(async () => {
  await pools.close()
  await owner.end()
  await service.end()
})

test('readers and writers notice nothing of concurrent rebuilds', async () => {
  let stopped = false
  const errors: unknown[] = []
  let posted = 0
  const writer = async () => {
    while (!stopped) {
      const response = await service.post('/internal/apikey-stats/flush', {
        keys: [{ api_key_id: 1, requests: 1 }],
      })
      if (response.status !== 200) errors.push(response.status)
      posted++
      await Bun.sleep(PAUSE_MS)
    }
  }
  let reads = 0
  const reader = async (path: string) => {
    let total = 0
    while (!stopped) {
      const acknowledged = posted
      const response = await service.fetch('admin', path)
      if (response.status !== 200) {
        errors.push([path, response.status, await response.text()])
        continue
      }
      const body = (await response.json()) as { total_requests: number } & { total: Rated }
      const read = (body.total ?? body).total_requests
      if (read < total) errors.push(`${path} went from ${total} back to ${read}`)
      if (read - start[path]! < acknowledged) errors.push(`${path} misses acknowledged flushes`)
      total = read
      reads++
      await Bun.sleep(PAUSE_MS)
    }
  }
  const start: Record<string, number> = {}
  for (const path of PATHS) {
    const body = await service.read<Rated & { total: Rated }>(path)
    start[path] = (body.total ?? body).total_requests
  }
  const running = [writer(), writer(), ...PATHS.map(reader)]
  for (let i = 0; i < 4; i++) {
    const outcome = await rebuild({
      ...{ owner, project: pools.project, projections: PROJECTIONS },
      ...{ signal: new AbortController().signal, onProgress: () => {} },
    })
    if ('underWay' in outcome) throw new Error('under way')
    for (const { projection, differences } of outcome.rebuilt) {
      expect([projection, differences]).toEqual([projection, { rows: 0, first: [] }])
    }
  }
  stopped = true
  await Promise.all(running)
  expect(errors).toEqual([])
  expect(reads).toBeGreaterThan(20)
  await expectTidy(owner)
})
