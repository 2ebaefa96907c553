import { describe, expect, test } from 'bun:test'
import type { Failure } from '../../src/console/page/api.ts'
import { evaluate, type Observed } from '../../src/console/page/health/evaluate.ts'
import { countBehind } from '../../src/console/page/shell/behind.ts'

// The findings of the health page, and its advice.

type Projection = NonNullable<Observed['projections']>['items'][number]
type Replica = NonNullable<Observed['status']>['replicas'][number]
type Rebuild = NonNullable<Projection['rebuild']>

const counters = (rest: Partial<Projection> = {}): Projection => ({
  ...{ name: 'key_counters', lag_seconds: 0, rebuild: null, ...rest },
})
const rebuilt = (rebuild: Partial<Rebuild>) =>
  counters({ rebuild: { state: 'live', drifted_rows: 0, error: null, ...rebuild } })

const QUIET = {
  sources: { silent: 0, missing_flushes: 0 },
  rules: { crossed: 0 },
  webhooks: { failing: 0, given_up: 0 },
}

const WELL: Observed = {
  failure: null,
  status: {
    ...{ queue_length: 0, log_ahead_seconds: 0, registration: null, ...QUIET },
    database: { connections: 5, max_connections: 100 },
    replicas: [{ state: 'used', why: null, lag_seconds: 0.01 }],
  },
  projections: { items: [counters()], parked_events: { count: 0 } },
  verification: { state: 'finished', problems: 0, started_at: '2026-01-31T12:00:00Z' },
}
const evaluateWith = (observed: Partial<Observed>) => evaluate({ ...WELL, ...observed })
const failed = (status: number) => ({ status }) as Failure
const projections = (item: Projection, count = 0) => ({
  projections: { items: [item], parked_events: { count } },
})
const status = (queue_length: number, connections = 5, log_ahead_seconds: number | null = 0) => ({
  status: {
    ...{ queue_length, log_ahead_seconds, registration: null, ...QUIET, replicas: [] },
    database: { connections, max_connections: 100 },
  },
})
const sources = (silent: number, missing_flushes: number) => ({
  status: { ...WELL.status!, sources: { silent, missing_flushes } },
})
const rules = (crossed: number, failing: number, given_up: number) => ({
  status: { ...WELL.status!, rules: { crossed }, webhooks: { failing, given_up } },
})
const registration = (registered_today: number, per_day: number) => ({
  status: { ...WELL.status!, registration: { registered_today, per_day } },
})
const replica = (second: Partial<Replica>) => ({
  status: {
    ...WELL.status!,
    replicas: [...WELL.status!.replicas, { ...WELL.status!.replicas[0]!, ...second }],
  },
})
const verification = (state: string, problems: number | null) => ({
  verification: { state, problems, started_at: '2026-01-31T12:00:00Z' },
})

describe('no problem is found', () => {
  test('if all is well, and it says so', () => {
    expect(evaluateWith({})).toEqual([{ grade: 'good', what: 'All is well.' }])
    expect(evaluateWith({ verification: undefined })).toHaveLength(1)
  })

  test('while the first reads are pending, and it does not say that all is well', () => {
    for (const observed of [{ status: undefined }, { projections: undefined }]) {
      expect(evaluateWith(observed)).toEqual([{ grade: 'good', what: 'Checking …' }])
    }
  })

  test.each([
    [status(999, 90)],
    [status(0, 5, null)],
    [registration(9_999, 10_000)],
    [projections(counters({ lag_seconds: 5 }))],
    // Usage and snapshots lag by design.
    [projections(counters({ name: 'snapshots', lag_seconds: 3_600 }))],
    [projections(rebuilt({ drifted_rows: null }))],
    [projections(rebuilt({ state: 'folding' }))],
    [verification('running', null)],
  ])('in %j', (observed) => {
    expect(evaluateWith(observed)[0]).toEqual({ grade: 'good', what: 'All is well.' })
  })
})

describe('a finding', () => {
  test.each<[Partial<Observed>, string, string, RegExp]>([
    [{ failure: failed(503) }, 'bad', 'The database does not answer.', /PostgreSQL is running/],
    [{ failure: failed(0) }, 'bad', 'The service is unreachable.', /proxy in front/],
    [{ failure: failed(500) }, 'bad', 'The service is unreachable.', /that it is running/],
    [status(1_000), 'fair', '1,000 flushes are waiting to be appended.', /disk; more shards/],
    [
      status(0, 5, 172_800),
      ...(['bad', 'The newest event is 2 d in the future.', /today's usage/] as const),
    ],
    [
      registration(10_000, 10_000),
      ...(['fair', '10,000 keys were registered by flushes today.', /PER_DAY; .* revoke/] as const),
    ],
    [
      registration(1, 1),
      ...(['fair', '1 key was registered by flushes today.', /count nothing until/] as const),
    ],
    [sources(1, 0), 'fair', '1 source is silent.', /proxies run/],
    [sources(0, 3), 'fair', '3 flushes are missing.', /has lost them/],
    [rules(3, 0, 0), 'fair', 'Rules are crossed in 3 places.', /page of webhooks/],
    [rules(0, 1, 2), 'fair', '1 webhook does not take what is sent.', /last status/],
    [rules(0, 0, 2), 'fair', '2 deliveries were given up.', /in the log/],
    [status(0, 91), 'fair', 'The database is running out of connections.', /max_connections/],
    [
      replica({ state: 'behind', lag_seconds: 7 }),
      ...(['fair', 'Replica 2 is 7 s behind.', /the primary/] as const),
    ],
    [
      replica({ state: 'away', why: 'connect ECONNREFUSED' }),
      ...(['fair', 'Replica 2 is away: connect ECONNREFUSED.', /the primary/] as const),
    ],
    [
      projections(counters({ lag_seconds: 6 })),
      ...(['fair', 'key_counters lags by 6 s.', /the service log/] as const),
    ],
    [
      projections(counters({ lag_seconds: 300 })),
      ...(['bad', 'key_counters lags by 5 min.', /the service log/] as const),
    ],
    [
      projections(rebuilt({ state: 'failed', error: 'out of disk' })),
      ...(['fair', 'The last rebuild of key_counters failed.', /^out of disk$/] as const),
    ],
    [
      projections(rebuilt({ state: 'killed' })),
      ...(['fair', 'The last rebuild of key_counters was killed.', /Start it again/] as const),
    ],
    [
      projections(rebuilt({ drifted_rows: 1 })),
      ...(['bad', 'key_counters had 1 row that did not match the log.', /only the owner/] as const),
    ],
    [
      projections(rebuilt({ drifted_rows: 2_000 })),
      ...(['bad', 'key_counters had 2,000 rows that did not match the log.', /corrected/] as const),
    ],
    [
      projections(counters(), 1),
      ...(['bad', '1 event could not be folded.', /then rebuild/] as const),
    ],
    [
      projections(counters(), 12),
      ...(['bad', '12 events could not be folded.', /not in any total/] as const),
    ],
    [
      verification('finished', 1),
      ...(['bad', 'The last verification found 1 problem.', /See Proofs/] as const),
    ],
    [
      verification('finished', 3),
      ...(['bad', 'The last verification found 3 problems.', /owner of the database/] as const),
    ],
    [
      verification('failed', null),
      ...(['fair', 'The last verification did not finish.', /again under Proofs/] as const),
    ],
    [
      verification('killed', null),
      ...(['fair', 'The last verification did not finish.', /again under Proofs/] as const),
    ],
  ])('states the problem and what to do, %#: %j', (observed, grade, what, todo) => {
    const findings = evaluateWith(observed)
    expect(findings).toEqual([{ grade: grade as 'bad', what, todo: expect.stringMatching(todo) }])
  })

  test('that is worse comes first', () => {
    const findings = evaluateWith({
      ...status(5_000, 99),
      ...projections(counters({ lag_seconds: 90 }), 2),
      ...verification('failed', null),
    })
    expect(findings.map(({ grade }) => grade)).toEqual(['bad', 'bad', 'fair', 'fair', 'fair'])
  })
})

test.each([
  [null, null, 0],
  ['0/41', null, 0],
  [null, '0/41', 0],
  ['0/41', '0/41', 0],
  ['0/41', '0/40', 1],
  ['0/41', '0/-1', 42],
  // A signal may be older than the read.
  ['0/41', '0/50', 0],
  ['0/41,1/7', '0/40,1/5', 3],
  // A shard that is ahead does not make up for another one.
  ['0/41,1/7', '0/50,1/5', 2],
  ['0/41,1/7', '0/41', 8],
  ['0/9007199254740991', '0/0', 9_007_199_254_740_991],
])('at %p the page that reflects %p is %p events behind', (newest, reflected, behind) => {
  expect(countBehind(newest, reflected)).toBe(behind)
})
