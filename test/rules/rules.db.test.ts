import { beforeAll, describe, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { expectProblem } from '../support/problem.ts'
import { useInstances } from '../support/service.ts'
import { until } from '../support/until.ts'
import { fails, inShort, putRules, readRecorded } from './support.ts'

// Rules, through two instances on one database, which evaluate them by themselves.

const [service, other] = useInstances({ intervals: { rules: { evaluateIntervalMs: 200 } } })

const flush = async (api_key_id: number, requests: number, success_requests: number) => {
  const keys = [{ api_key_id, requests, success_requests }]
  expect((await other.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
}
const use = async (token_hash: string, tokens: number) => {
  const keys = [{ token_hash, requests: 1, tokens }]
  expect((await other.post('/internal/stats/flush', { keys })).status).toBe(200)
}
const recordedOf = async (name: string) =>
  (await readRecorded(service)).filter(({ data }) => data.rule.name === name)
/** Waits until a rule has so many events, and returns them. */
const untilRecorded = (name: string, count: number) =>
  until(async () => {
    const events = await recordedOf(name)
    return events.length >= count && events
  })
const end = async (name: string) =>
  expect((await service.fetch('admin', `/admin/rules/${name}`, { method: 'DELETE' })).status).toBe(
    204,
  )

type Listed = { name: string; crossed: number; crossings: { subject: object; value: object }[] }
const list = async () => (await other.read<{ items: Listed[] }>('/admin/rules')).items

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }, { id: 2 }],
    api_keys: [
      { id: 1, group_id: 1 },
      { id: 2, group_id: 2 },
    ],
    keys: [
      { token_hash: 'a', quota_limit: 100 },
      { token_hash: 'b', quota_limit: 100, quota_period: 'month' },
      { token_hash: 'free' },
      { token_hash: 'none', quota_limit: 0 },
    ],
  })
})

describe('a success rate', () => {
  test('is crossed below its threshold and cleared at it, with what was seen', async () => {
    await putRules(service, [fails('group', 1), fails('key', 1, { of: 'api_key', below: 0.5 })])
    await flush(1, 9, 0)
    await flush(2, 100, 0)
    await flush(1, 11, 17 - 9)
    const [crossed] = await untilRecorded('group', 1)
    expect(crossed).toMatchObject({ type: 'RuleCrossed', source: 'tallybook' })
    expect(crossed!.data).toMatchObject({
      rule: { name: 'group', min_requests: 10 },
      subject: { kind: 'provider_group', id: '1' },
      value: { requests: 20, success_requests: 8 },
    })
    expect((await list()).find(({ name }) => name === 'group')).toMatchObject({
      crossed: 1,
      crossings: [{ subject: { kind: 'provider_group', id: '1' }, position: expect.any(String) }],
    })
    // The value can be read again, from the positions that the event states.
    const path = `/admin/provider-groups/1?as_of_position=${crossed!.data.through}`
    expect(await service.read(path)).toMatchObject({ total_requests: 20, success_requests: 8 })
    await flush(1, 180, 172)
    const [, cleared] = await untilRecorded('group', 2)
    expect(cleared).toMatchObject({ type: 'RuleCleared' })
    expect(cleared!.data).toMatchObject({
      ...{ why: 'recovered', crossed_at: crossed!.data.at },
      value: { requests: 200, success_requests: 180 },
    })
    expect(inShort(await untilRecorded('key', 2))).toEqual([
      'crossed key api_key/1',
      'cleared key api_key/1',
    ])
  })

  test('does not count balances and corrections', async () => {
    await service.act('/admin/balances', {
      ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
      provider_groups: [{ id: 1, total_requests: 100_000, success_requests: 100_000 }],
    })
    await flush(1, 100, 0)
    const events = await untilRecorded('group', 3)
    expect(events[2]!.data.value).toEqual({ requests: 300, success_requests: 180 })
    await end('group')
    await end('key')
    expect((await untilRecorded('group', 4))[3]!.data).toMatchObject({ why: 'unwatched' })
    expect((await list()).map(({ name }) => name)).toEqual([])
  })
})

describe('a quota', () => {
  test('is crossed at a percentage by each key, and cleared by a reset', async () => {
    await putRules(service, [
      { name: 'quota_80', kind: 'quota', percent: 80 },
      { name: 'quota_100', kind: 'quota', percent: 100, token_hash: 'a' },
    ])
    await use('a', 79)
    await use('b', 80)
    await use('free', 1_000)
    await use('none', 1_000)
    expect(inShort(await untilRecorded('quota_80', 1))).toEqual(['crossed quota_80 key/b'])
    await use('a', 21)
    await untilRecorded('quota_80', 2)
    const [full] = await untilRecorded('quota_100', 1)
    expect(full!.data.value).toEqual({ quota_used: 100, quota_limit: 100 })
    await service.act('/admin/keys/a/quota-reset', { reason: 'new contract' })
    await untilRecorded('quota_100', 2)
    await service.putCatalog({ keys: [{ token_hash: 'b', quota_limit: 1_000 }] })
    expect(inShort(await untilRecorded('quota_80', 4)).sort()).toEqual([
      ...['cleared quota_80 key/a', 'cleared quota_80 key/b'],
      ...['crossed quota_80 key/a', 'crossed quota_80 key/b'],
    ])
  })

  test('of a key that is retired is no longer watched', async () => {
    await use('b', 900)
    await untilRecorded('quota_80', 5)
    await service.fetch('admin', '/admin/keys/b', { method: 'DELETE' })
    expect((await untilRecorded('quota_80', 6))[5]!.data).toMatchObject({ why: 'unwatched' })
    await end('quota_80')
    await end('quota_100')
  })
})

test('a source is crossed while it is silent, and a verification while it found problems', async () => {
  const { owner } = service.database
  await putRules(service, [
    { name: 'silent', kind: 'silent_source' },
    { name: 'one', kind: 'silent_source', source: 'nobody' },
    { name: 'verify', kind: 'failed_verification' },
  ])
  // Twenty flushes, the last of which came an hour ago.
  await owner`
    update sources s
    set recent = array(
      select now() - interval '1 hour' - n * interval '1 second' from generate_series(1, 20) n
    )
    where s.source = 'dp'`
  const [crossed] = await untilRecorded('silent', 1)
  expect(crossed!.data.subject).toEqual({ kind: 'source', id: 'dp' })
  expect(crossed!.data.value).toMatchObject({ expected_seconds: 15 })
  await flush(1, 1, 1)
  await untilRecorded('silent', 2)
  for (const problems of [2, 0]) {
    await owner`
      insert into verifications (started_at, finished_at, problems, report, row_sha256)
      values (now(), now(), ${problems}, '{}', sha256(''))`
    await untilRecorded('verify', problems === 2 ? 1 : 2)
  }
  const [failed] = await recordedOf('verify')
  expect(failed!.data).toMatchObject({ subject: { kind: 'log', id: '' }, value: { problems: 2 } })
  expect(await recordedOf('one')).toEqual([])
  await owner`delete from verifications`
  for (const name of ['silent', 'one', 'verify']) await end(name)
})

test('events of rules are a part of the log that auditors accept', async () => {
  const page = await service.read<{ items: { type: string }[] }>('/audit/events?type=RuleCleared')
  expect(page.items.length).toBeGreaterThan(5)
  await untilSigned(service)
  expect((await auditService(service)).findings).toEqual([])
  const { address } = service.database
  const options = { signal: new AbortController().signal, onProgress: () => {} }
  expect((await verifyDatabase(address, options)).first).toEqual([])
})

describe('a change with rules', () => {
  const put = (...rules: object[]) => service.putCatalog({ rules })
  const rate = fails('r', 1)

  test('has a version that older releases leave alone, and others have the one before', async () => {
    await put(rate)
    await service.putCatalog({ provider_groups: [{ id: 3 }], rules: [] })
    const rows = await service.database.owner<{ version: number }[]>`
      select e.version from events e where e.type = 'CatalogChanged'
      order by e.position desc limit 2`
    expect(rows.map(({ version }) => version)).toEqual([1, 4])
    await end('r')
    await expectProblem(
      await service.fetch('admin', '/admin/rules/r', { method: 'DELETE' }),
      ...([404, 'not found'] as const),
    )
  })

  test.each([
    ['an unknown kind', { name: 'r', kind: 'latency' }],
    ['no name', { kind: 'quota', percent: 80 }],
    ['a name with a capital', { name: 'R', kind: 'quota', percent: 80 }],
    ['no percentage', { name: 'r', kind: 'quota' }],
    ['a percentage of 0', { name: 'r', kind: 'quota', percent: 0 }],
    ['a member of another kind', { name: 'r', kind: 'quota', percent: 80, minutes: 5 }],
    ['a member of no kind', { name: 'r', kind: 'failed_verification', url: 'x' }],
    ['a rate of 0', { ...rate, below: 0 }],
    ['a rate above 1', { ...rate, below: 1.01 }],
    ['no id', { ...rate, id: null }],
    ['another account', { ...rate, of: 'key' }],
    ['two days', { ...rate, minutes: 2_880 }],
    ['a key in blanks', { name: 'r', kind: 'quota', percent: 80, token_hash: ' a' }],
    ['a NUL in a source', { name: 'r', kind: 'silent_source', source: 'a\0' }],
  ])('with %s is refused', async (_, rule) => {
    await expectProblem(await put(rule), 400, 'invalid catalog')
  })

  test('with a name twice is refused, and one that would leave too many', async () => {
    await expectProblem(await put(rate, rate), 400, 'invalid catalog')
    const many = Array.from({ length: 1_000 }, (_, i) => fails(`r${i}`, 9))
    expect(await (await put(...many)).json()).toMatchObject({ rules: 1_000 })
    await expectProblem(await put(fails('another', 9)), 409, 'too many rules')
    expect((await put(fails('r1', 10))).status).toBe(200)
    const windows = (count: number) =>
      Array.from({ length: count }, (_, i) => fails(`r${i}`, 9, { minutes: i + 1 }))
    expect((await put(...windows(19))).status).toBe(200)
    await expectProblem(await put(...windows(20)), 409, 'too many rules')
    // Rules that watch every key or every source.
    const general = (count: number) =>
      Array.from({ length: count }, (_, i) =>
        i % 2 === 0
          ? { name: `r${i}`, kind: 'quota', percent: i + 1 }
          : { name: `r${i}`, kind: 'silent_source' },
      )
    expect((await put(...general(20))).status).toBe(200)
    await expectProblem(await put(...general(21)), 409, 'too many rules')
    const one = { name: 'r20', kind: 'quota', percent: 1, token_hash: 'a' }
    expect((await put(one)).status).toBe(200)
  })
})
