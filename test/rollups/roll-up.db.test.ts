import { afterAll, beforeAll, expect, test } from 'bun:test'
import { connectAsOwner, openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { readAttestedUsage } from '../../src/proofs/attestations/newest.ts'
import { usage } from '../../src/read-model/projections/usage.ts'
import { rebuild } from '../../src/read-model/rebuild/rebuild.ts'
import { align } from '../../src/rollups/align.ts'
import { type KeptUnits, rollUp } from '../../src/rollups/keep-rolled-up.ts'
import { verify } from '../proofs/integrity/history.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { TEST_SHARDS } from '../support/server.ts'
import type { TestService } from '../support/service.ts'
import { DAY_MS, simulate } from './simulated.ts'

// What is kept by days, and then by months, adds up to what was kept by quarter hours, now and as of
// later times, by dimension and in every scope; what needs more than that says that it is gone.

/** So that the first block of positions was recorded before the last month that is moved. */
const DAYS = 230
const KEPT_DAYS = 40
const BY_DAYS: KeptUnits = { day: KEPT_DAYS, month: null }
const BY_MONTHS: KeptUnits = { day: KEPT_DAYS, month: 2 }
/** On a slow machine. */
const PATIENCE_MS = 300_000
const FLUSHES = 7_000

let service: TestService
let pools: Pools

beforeAll(async () => {
  ;({ service } = await simulate(DAYS, FLUSHES, 11))
  pools = openPools(service.database.address, TEST_SHARDS)
}, PATIENCE_MS)
afterAll(async () => {
  await pools.close()
  await service.end()
})

const midnight = (daysAgo: number) =>
  new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - daysAgo * DAY_MS).toISOString()

/** Before the first flush, and the oldest that one was counted; after the last. */
const [FROM, TO] = [`${midnight(DAYS + 40).slice(0, 7)}-01T00:00:00Z`, midnight(-1)]
const SCOPES = ['', '&group_id=1', '&api_key_id=2', '&token_hash=a']

async function attest(): Promise<void> {
  const response = await service.fetch('admin', '/admin/attestations', { method: 'POST' })
  expect(response.status).toBe(201)
}

async function rollUpAll(kept = BY_DAYS, isStopped?: () => boolean): Promise<void> {
  const readAttested = (shard: number) => readAttestedUsage(pools.read, shard)
  const options = { sql: pools.project, kept, readAttested }
  for (let shard = 0; shard < TEST_SHARDS; shard++) await rollUp(options, shard, isStopped)
}

const read = async (path: string) => {
  const response = await service.fetch('admin', path)
  return { status: response.status, body: await response.text(), position: positionOf(response) }
}

/** Reads whose answers must stay: by days or months of UTC, and by anything of the last days. */
async function readAll(asOf = '', unit = 'day'): Promise<Record<string, string>> {
  const answers: Record<string, string> = {}
  for (const scope of SCOPES) {
    const whole = `from=${FROM}&to=${TO}${scope}${asOf}`
    const recent = `from=${midnight(KEPT_DAYS - 2)}&to=${TO}${scope}${asOf}`
    for (const path of [
      `/admin/usage?bucket=${unit}&${whole}`,
      `/admin/usage?bucket=${unit}&group_by=model,status&limit=3&${whole}`,
      `/admin/usage?bucket=hour&${recent}`,
      `/admin/usage?bucket=day&tz=Asia/Kathmandu&${recent}`,
      `/admin/breakdown?by=status&${whole}`,
      `/admin/breakdown?by=model,status&${recent}`,
    ]) {
      const { status, body } = await read(path)
      expect([path, status]).toEqual([path, 200])
      answers[path] = body
    }
  }
  return answers
}

async function explain(scope: string): Promise<unknown[]> {
  const items: unknown[] = []
  for (let after = ''; ; ) {
    const path = `/audit/explain?limit=1000&${scope}${after === '' ? '' : `&after=${after}`}`
    const page = await service.read<{ items: unknown[]; next_after: string | null }>(path)
    items.push(...page.items)
    if (page.next_after === null) return items
    after = page.next_after
  }
}

async function countRows(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { name } of usage.tables) {
    const [row] = await service.database.owner<{ rows: number }[]>`
      select count(*)::integer as rows from ${service.database.owner(name)}`
    counts[name] = row!.rows
  }
  return counts
}

async function expectRefused(path: string, unit = 'days'): Promise<void> {
  const response = await service.fetch('admin', path)
  const { error, detail } = (await response.json()) as { error: string; detail: string }
  expect([path, response.status, error]).toEqual([path, 422, 'usage by days'])
  expect(detail).toMatch(/Usage before \d{4}-\d\d-\d\dT00:00:00Z is kept by (?:days|months)/)
  expect(detail).toContain(` ${unit}`)
}

test('nothing is moved before it is attested', async () => {
  const before = await countRows()
  await rollUpAll()
  expect(await countRows()).toEqual(before)
})

test(
  'what is kept by days adds up to what was kept by quarter hours',
  async () => {
    const [before, rows, explained] = [
      await readAll(),
      await countRows(),
      await explain('api_key_id=2'),
    ]
    expect(explained.length).toBeGreaterThan(1_000)
    const { position } = await read('/admin/usage')
    const asOf = `&as_of_position=${position}`
    const then = await readAll(asOf)
    await attest()

    // Stopped after each of some steps, as if killed.
    for (const steps of [1, 9]) {
      let left = steps
      await rollUpAll(BY_DAYS, () => left-- <= 0)
      expect(await readAll()).toEqual(before)
      expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
    }
    await rollUpAll()
    const moved = await countRows()
    expect(await readAll()).toEqual(before)
    expect(await readAll(asOf)).toEqual(then)
    expect(await explain('api_key_id=2')).toEqual(explained)
    expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
    expect(moved.api_key_usage!).toBeLessThan(rows.api_key_usage! / 2)
    expect(moved.api_key_backdated_usage!).toBeLessThan(rows.api_key_backdated_usage! * 0.8)
    expect(moved.api_key_daily_usage!).toBeGreaterThan(3 * 90)
  },
  PATIENCE_MS,
)

test('what needs quarter hours that are gone is refused', async () => {
  await expectRefused(`/admin/usage?bucket=hour&from=${midnight(60)}&to=${midnight(59)}`)
  await expectRefused(`/admin/usage?bucket=day&tz=Europe/Berlin&from=${FROM}&to=${midnight(50)}`)
  await expectRefused(
    `/admin/breakdown?by=model&from=${midnight(60).replace('T00', 'T06')}&to=${TO}`,
  )
  await expectRefused(`/admin/usage?as_of=${midnight(60)}`)
  const one = `/admin/usage?bucket=hour&from=${midnight(60)}&to=${midnight(50)}`
  expect((await read(`${one}&bucket=day`.replace('bucket=hour&', ''))).status).toBe(200)
  // Totals as of any time are not usage.
  expect((await read(`/admin/apikey-stats/summary?as_of=${midnight(60)}`)).status).toBe(200)
})

test(
  'what is kept by months adds up to what was kept by days',
  async () => {
    const [before, rows, explained] = [
      await readAll('', 'month'),
      await countRows(),
      await explain('api_key_id=2'),
    ]
    const asOf = `&as_of_position=${(await read('/admin/usage')).position}`
    const then = await readAll(asOf, 'month')
    // Stopped after some steps, as if killed, then complete.
    for (const steps of [7, Number.POSITIVE_INFINITY]) {
      let left = steps
      await rollUpAll(BY_MONTHS, () => left-- <= 0)
      expect(await readAll('', 'month')).toEqual(before)
      expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
    }
    expect(await readAll(asOf, 'month')).toEqual(then)
    expect(await explain('api_key_id=2')).toEqual(explained)
    const moved = await countRows()
    for (const name of ['api_key_daily_usage', 'key_daily_usage', 'api_key_daily_parts']) {
      const monthly = moved[name.replace('daily', 'monthly')]!
      expect(monthly).toBeGreaterThan(0)
      expect(moved[name]! + 4 * monthly).toBeLessThan(rows[name]!)
    }
    const old = `from=${FROM}&to=${midnight(DAYS - 10)}`
    await expectRefused(`/admin/usage?bucket=day&${old}`, 'months')
    await expectRefused(`/admin/usage?bucket=month&tz=Europe/Berlin&${old}`, 'months')
    await expectRefused(`/admin/breakdown?by=model&${old}`, 'months')
  },
  PATIENCE_MS,
)

test(
  'late flushes and reversals of old ones count in their days and months',
  async () => {
    const { owner } = service.database
    const [flush] = await owner<{ position: string }[]>`
    select position from events
    where shard = 0 and type = 'ApiKeyStatsFlushed' and recorded_at < now() - interval '90 days'
    order by position desc limit 1`
    const path = `/admin/usage?bucket=month&from=${FROM}&to=${TO}`
    const before = JSON.parse((await read(path)).body) as { total: { total_requests: number } }
    await service.act('/admin/corrections', { reverse: `0/${flush!.position}`, reason: 'twice' })
    const countedAt = Math.floor(Date.parse(midnight(34)) / 1_000)
    const late = { keys: [{ api_key_id: 1, requests: 1_000_000 }], counted_at: countedAt }
    expect((await service.post('/internal/apikey-stats/flush', late)).status).toBe(200)
    const after = JSON.parse((await read(path)).body) as typeof before
    expect(after.total.total_requests).toBeGreaterThan(before.total.total_requests + 999_000)
    await attest()
    const all = await readAll('', 'month')
    await rollUpAll({ ...BY_MONTHS, day: KEPT_DAYS - 2 })
    expect(await readAll('', 'month')).toEqual(all)
    expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  },
  PATIENCE_MS,
)

test(
  'an audit compares what is kept by months, by the month',
  async () => {
    await untilSigned(service)
    const { findings, report } = await auditService(service)
    expect(findings).toEqual([])
    expect(new Set(report.usage!.scopes.map(({ bucket }) => bucket))).toEqual(new Set(['month']))
    expect(report.usage!.buckets).toBeGreaterThan(8 * (DAYS / 31))
  },
  PATIENCE_MS,
)

test(
  'a rebuild makes the same rows, and verification finds each that differs',
  async () => {
    const owner = connectAsOwner(service.database.address)
    const { signal } = new AbortController()
    const outcome = await rebuild({
      ...{ owner, project: pools.project, projections: [usage], signal, align },
      onProgress: () => {},
    })
    expect(outcome).toMatchObject({ rebuilt: [{ differences: { rows: 0, first: [] } }] })
    expect(await verify(service.database)).toMatchObject({ problems: 0 })
    await owner`
    update key_daily_usage set tokens = tokens + 1
    where (shard, token_hash, quarter, position) = (
      select shard, token_hash, quarter, position from key_daily_usage order by 1, 2, 3, 4 limit 1
    )`
    await owner`
    delete from api_key_daily_parts
    where ctid = (select ctid from api_key_daily_parts limit 1)`
    await owner`
    delete from api_key_monthly_usage
    where ctid = (select ctid from api_key_monthly_usage where position >= 0 limit 1)`
    await owner`
    update api_key_monthly_parts set requests = requests + 1
    where ctid = (select ctid from api_key_monthly_parts where position < 0 limit 1)`
    expect(await verify(service.database)).toMatchObject({ problems: 4 })
    await owner.end()
  },
  PATIENCE_MS,
)
