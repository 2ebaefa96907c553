import { expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { periodAt } from '../../src/quota/periods.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// The periods and time zones of token keys in the catalog.

const service = useService()

type Row = { quota_limit: number; quota_period?: string; quota_tz?: string }

const put = (row: object) =>
  service.fetch('admin', '/admin/catalog', {
    method: 'PUT',
    body: JSON.stringify({ keys: [row] }),
  })
const read = async (hash: string, query = '') => {
  const { quota_period, quota_tz } = await service.read<Row>(`/admin/keys/${hash}${query}`)
  return [quota_period, quota_tz]
}
/** The version and the token keys of the newest change. */
const newest = async () => {
  const [row] = await service.database.owner<{ version: number; keys: object[] }[]>`
    select e.version, e.payload->'upserted'->'keys' as keys
    from events e
    where e.type = 'CatalogChanged'
    order by e.position desc
    limit 1`
  return row!
}

test('a key has neither unless they are set, and keeps them until they are changed', async () => {
  await put({ token_hash: 'a' })
  expect(await read('a')).toEqual([undefined, undefined])
  expect(await newest()).toEqual({
    version: 1,
    keys: [{ token_hash: 'a', quota_limit: -1, name: null }],
  })
  const first = (await put({ token_hash: 'a', quota_period: 'week' })).headers
  expect(await read('a')).toEqual(['week', 'UTC'])
  expect(await newest()).toMatchObject({ version: 2, keys: [{ quota_period: 'week' }] })
  await put({ token_hash: 'a', quota_tz: 'europe/berlin', quota_limit: 5 })
  expect(await read('a')).toEqual(['week', 'Europe/Berlin'])
  await put({ token_hash: 'a', quota_period: null, quota_tz: null, name: 'alice' })
  expect(await read('a')).toEqual(['week', 'Europe/Berlin'])
  await put({ token_hash: 'a', quota_period: 'none' })
  expect(await read('a')).toEqual(['none', 'Europe/Berlin'])
  await put({ token_hash: 'a', quota_tz: 'UTC' })
  expect(await read('a')).toEqual([undefined, undefined])
  expect((await newest()).version).toBe(1)
  const past = first.get('tallybook-position')
  expect(await read('a', `?as_of_position=${past}`)).toEqual(['week', 'UTC'])
})

test('an unknown period or zone is refused', async () => {
  for (const row of [{ quota_period: 'year' }, { quota_tz: 'Mars/Olympus' }, { quota_tz: '' }]) {
    await expectProblem(await put({ token_hash: 'b', ...row }), 400, 'invalid catalog')
  }
  expect(await (await put({ token_hash: 'b', quota_tz: '+01:00' })).json()).toMatchObject({
    detail: 'keys[0].quota_tz is not a time zone of the IANA database.',
  })
})

test('attestations, audits and integrity checks cover them', async () => {
  const keys = [
    { token_hash: 'c', quota_period: 'day' },
    { token_hash: 'd', quota_period: 'month', quota_tz: 'Asia/Kathmandu', quota_limit: 9 },
    { token_hash: 'e', quota_tz: 'Asia/Kathmandu' },
    { token_hash: 'f' },
  ]
  await service.putCatalog({ keys })
  await service.fetch('admin', '/admin/attestations', { method: 'POST' })
  await untilSigned(service)
  const { findings } = await auditService(service)
  expect(findings).toEqual([])
  const verify = async () => {
    const signal = new AbortController().signal
    return verifyDatabase(service.database.address, { signal, onProgress: () => {} })
  }
  expect((await verify()).first).toEqual([])
  await service.database.owner`
    update key_versions set quota_period = 'week' where token_hash = 'c'`
  expect((await verify()).first).toMatchObject([
    { check: 'refold', expected: expect.stringContaining('"quota_period":"day"') },
  ])
  await service.database.owner`update key_versions set quota_period = 'day' where token_hash = 'c'`
})

test("bounds are those of PostgreSQL's date_trunc in every zone that both know", async () => {
  const { owner } = service.database
  const periods = ['day', 'week', 'month'] as const
  // Around the changes of clocks in both hemispheres, a leap day, and the ends of months.
  const moments = [
    ...['2024-02-29T23:40:00Z', '2025-03-30T00:50:00Z', '2025-04-05T16:10:00Z'],
    ...['2025-10-26T01:20:00Z', '2025-12-31T23:59:59Z', '2026-01-01T00:00:00Z'],
  ]
  const rows = await owner<{ zone: string; at: string; period: 'day'; start: string }[]>`
    select z.name as zone, m.at, p.period,
      to_char(
        date_bin('15 minutes', date_trunc(p.period, m.at::timestamptz, z.name), '2000-01-01Z')
          at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS+00:00'
      ) as start
    from pg_timezone_names z
      cross join unnest(${moments}::text[]) as m(at)
      cross join unnest(${periods as unknown as string[]}::text[]) as p(period)`
  const known = rows.filter(({ zone }) => findKnown(zone))
  expect(known.length).toBeGreaterThan(400 * periods.length * moments.length)
  const different = known.filter(
    ({ zone, at, period, start }) => periodAt(period, zone, Date.parse(at)).start !== start,
  )
  // In the Azores midnight came twice. A day begins with the first, and PostgreSQL takes the other.
  expect(different.map(({ zone, at, period }) => [zone, at, period])).toEqual([
    ['Atlantic/Azores', '2025-10-26T01:20:00Z', 'day'],
  ])
})

const findKnown = (zone: string) => Intl.supportedValuesOf('timeZone').includes(zone)
