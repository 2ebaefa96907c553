import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { ATTESTED_TABLES } from '../../../src/events/digest.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { parametersOf, runsOf, timeoutOf } from '../../property/runs.ts'
import { Session } from '../../property/session.ts'
import { history } from '../../property/steps.ts'
import { insertEvent } from '../../support/events.ts'
import { rebuildByHttp } from '../../support/rebuild.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import { auditService, fillService, untilSigned } from '../verifier/audited.ts'

let service: TestService
beforeEach(async () => {
  service = await startTestService()
})
afterEach(() => service.end())

type At = { shard: number; position: number }

async function attest(): Promise<At[]> {
  const response = await service.fetch('admin', '/admin/attestations', { method: 'POST' })
  expect(response.status).toBe(201)
  return ((await response.json()) as { items: At[] }).items
}

type Newest = At & {
  tables: {
    table: string
    position: number
    from?: string
    after?: number
    rows: number
    sha256: string
  }[]
  totals: { position: number; requests: string; successes: string }
}
const readNewest = async () =>
  (await service.read<{ items: Newest[] }>('/admin/attestations')).items

const flush = (requests = 1) =>
  service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 7, requests }] })

test('the tables of the projections are attested with all their columns', () => {
  const tables = PROJECTIONS.flatMap((projection) => projection.tables)
  for (const [name, { columns }] of Object.entries(ATTESTED_TABLES)) {
    const { key, values } = tables.find((table) => table.name === name)!
    expect([name, ...columns]).toEqual([name, ...key.filter((one) => one !== 'shard'), ...values])
  }
  const left = tables.map(({ name }) => name).filter((name) => !(name in ATTESTED_TABLES))
  // Usage by days is made of what was attested by quarter hours.
  const others =
    /_(snapshots|versions|(?:dai|month)ly_(?:usage|parts))$|^(acts|openings|quota_resets|unknown_\w+)$/
  expect(left.every((name) => others.test(name))).toBe(true)
})

const runs = runsOf(5)

test(
  `attestations match the log, in ${runs} histories`,
  async () => {
    let run = 0
    const property = fc.asyncProperty(history, async (steps) => {
      const session = await Session.begin(service, ++run)
      for (const step of steps) await session.take(step)
      await attest()
    })
    await fc.assert(property, parametersOf(runs))
    await untilSigned(service)
    const { report, findings } = await auditService(service)
    expect(findings).toEqual([])
    expect(report.claims).toBeGreaterThan(7 * runs)
  },
  timeoutOf(runs),
)

describe('an attestation', () => {
  test('is made once, and only for shards that have grown', async () => {
    expect(await attest()).toEqual([])
    await service.putCatalog({ api_keys: [{ id: 7 }] })
    const [first, ...others] = await attest()
    expect([first, others]).toEqual([{ shard: 0, position: 1 }, []])
    expect(await attest()).toEqual([])
    const [shard, position] = (await flush()).headers
      .get('tallybook-position')!
      .split('/')
      .map(Number)
    expect(await attest()).toEqual([{ shard: shard!, position: position! + 1 }])
    expect(await attest()).toEqual([])
  })

  test('is appended once if several instances attest at the same time', async () => {
    const other = await startTestService({ database: service.database })
    await fillService(service)
    await flush()
    const before = (await readNewest()).length
    const post = (one: TestService) => one.fetch('admin', '/admin/attestations', { method: 'POST' })
    const made = await Promise.all([post(service), post(other), post(service), post(other)])
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201, 201])
    expect(before).toBeGreaterThan(0)
    const rows = await service.database.owner`
      select e.shard, e.idempotency_key, count(*) from events e
      where e.type = 'ProjectionAttested'
      group by 1, 2 having count(*) > 1`
    expect(rows.length).toBe(0)
    await other.stop()
  })

  test('states the rows of every table and the totals', async () => {
    await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }] })
    const at = (await flush(10)).headers.get('tallybook-position')!
    await attest()
    const newest = (await readNewest()).find(({ shard }) => shard === Number(at.split('/')[0]))!
    expect(newest.totals).toMatchObject({ requests: '10', successes: '0' })
    const rows = Object.fromEntries(newest.tables.map(({ table, rows }) => [table, rows]))
    expect(rows).toMatchObject({ api_key_counters: 1, provider_group_usage: 1, key_counters: 0 })
    expect(new Set(newest.tables.map(({ position }) => position))).toEqual(
      new Set([newest.position - 1]),
    )
  })

  test('covers dimensions and measures, in a version of its own, once any was declared', async () => {
    const attested = async () => {
      await attest()
      const rows = await service.database.owner<{ version: number; tables: string[] }[]>`
        select e.version, array(
          select t.value ->> 'table'
          from json_array_elements(e.payload -> 'tables') t
          where t.value ->> 'table' in ('dimensions', 'measures')
        ) as tables
        from events e
        where e.shard = 0 and e.type = 'ProjectionAttested'
        order by e.position desc
        limit 1`
      return { ...rows[0]! }
    }
    await service.putCatalog({ api_keys: [{ id: 7 }] })
    expect(await attested()).toEqual({ version: 3, tables: [] })
    await service.putCatalog({ measures: [{ name: 'seconds' }] })
    await service.fetch('admin', '/admin/measures/seconds', { method: 'DELETE' })
    expect(await attested()).toEqual({ version: 4, tables: ['dimensions', 'measures'] })
  })

  test('has the same digests after a rebuild', async () => {
    await fillService(service)
    const digests = async () => {
      await flush(0)
      await attest()
      return (await readNewest()).map(({ tables }) =>
        tables.filter(({ table }) => /counters$/.test(table)).map(({ sha256 }) => sha256),
      )
    }
    const before = await digests()
    await rebuildByHttp(service, ['api_key_counters', 'provider_group_counters', 'key_counters'])
    expect(await digests()).toEqual(before)
  })

  test('that is invalid is parked, and later events are folded', async () => {
    await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }] })
    const { owner } = service.database
    for (const payload of ['{}', '{"tables":[],"totals":{"position":0,"requests":"01"}}', '[]']) {
      await insertEvent(owner, { type: 'ProjectionAttested', payload })
    }
    await insertEvent(owner, { type: 'OriginChanged', payload: '{"origin":""}' })
    await flush(3)
    const { total_requests } = await service.read<{ total_requests: number }>(
      '/admin/apikey-stats/summary',
    )
    expect(total_requests).toBe(3)
    const { parked_events: parked } = await service.read<{ parked_events: { count: number } }>(
      '/admin/projections',
    )
    expect(parked.count).toBe(4)
  })

  test('is found before unreadable ones, and the next one continues it', async () => {
    await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }] })
    const { owner } = service.database
    for (let shard = 0; shard < service.shards; shard++) {
      await insertEvent(owner, { shard, type: 'ProjectionAttested', payload: '{}' })
    }
    expect(await readNewest()).toEqual([])
    await flush(10)
    await attest()
    const before = await readNewest()
    expect(before.length).toBeGreaterThan(0)
    for (let shard = 0; shard < service.shards; shard++) {
      await insertEvent(owner, { shard, type: 'ProjectionAttested', payload: '[]' })
      await insertEvent(owner, {
        shard,
        type: 'ProjectionAttested',
        payload: '{"v":2}',
        version: 2,
      })
    }
    expect(await readNewest()).toEqual(before)
    const { total_requests } = await service.read<{ total_requests: number }>(
      '/admin/apikey-stats/summary?attested=true',
    )
    expect(total_requests).toBe(10)
    expect(await attest()).toEqual([])
    const shard = Number((await flush()).headers.get('tallybook-position')!.split('/')[0])
    expect((await attest()).map((at) => at.shard)).toEqual([shard])
  })

  test('covers all usage if the previous one states no usage', async () => {
    await service.putCatalog({ api_keys: [{ id: 7 }] })
    const payload = '{"tables":[],"totals":{"position":0,"requests":"0","successes":"0"}}'
    for (let shard = 0; shard < service.shards; shard++) {
      await insertEvent(service.database.owner, { shard, type: 'ProjectionAttested', payload })
    }
    await flush(10)
    expect((await attest()).length).toBeGreaterThan(0)
    const made = (await readNewest()).filter(({ tables }) => tables.length > 0)
    expect(made.length).toBeGreaterThan(0)
    expect(made.flatMap(({ tables }) => tables.filter(({ from }) => from !== undefined))).toEqual(
      [],
    )
  })
})

describe('the attested summary', () => {
  test('adds up the newest attestations and lists them', async () => {
    const path = '/admin/apikey-stats/summary?attested=true'
    expect((await service.fetch('auditor', path)).status).toBe(404)
    await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 7, group_id: 1 }] })
    await flush(10)
    await attest()
    await flush(100)
    const response = await service.fetch('auditor', path)
    const newest = await readNewest()
    expect(await response.json()).toEqual({
      total_requests: 10,
      success_requests: 0,
      failure_requests: 10,
      success_rate: 0,
      failure_rate: 1,
      attestations: newest.map(({ shard, position }) => ({ shard, position })),
    })
    const positions = Array.from({ length: service.shards }, (_, shard) => {
      const one = newest.find((other) => other.shard === shard)
      return `${shard}/${one?.totals.position ?? -1}`
    })
    expect(response.headers.get('tallybook-position')).toBe(positions.join(','))
  })

  test('refuses an as-of position', async () => {
    const path = '/admin/apikey-stats/summary?attested=true&as_of_position=0/0'
    expect((await service.fetch('auditor', path)).status).toBe(400)
  })
})

test('no token can have the name that the service uses for itself', async () => {
  const response = await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: JSON.stringify({ name: 'tallybook', role: 'dp' }),
  })
  expect(response.status).toBe(409)
})
