import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parametersOf, runsOf, timeoutOf } from '../property/runs.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import {
  type Evaluator,
  fails,
  openEvaluator,
  putRules,
  type Recorded,
  readRecorded,
} from './support.ts'

// Three processes that all take themselves for the owner of shard 0 evaluate the same rules at
// once, after each of a random sequence of changes. Each crossing and each clearing is recorded
// once, and afterwards what is crossed is what the numbers say.

let service: TestService
let evaluators: Evaluator[] = []

beforeAll(async () => {
  // The service itself does not evaluate.
  const intervals = { rules: { evaluateIntervalMs: 1_000_000 } }
  service = await startTestService({ intervals: { ...TEST_INTERVALS, ...intervals } })
  await service.putCatalog({
    provider_groups: [{ id: 1 }, { id: 2 }],
    api_keys: [
      { id: 1, group_id: 1 },
      { id: 2, group_id: 2 },
    ],
    keys: ['a', 'b'].map((token_hash) => ({ token_hash, quota_limit: 100 })),
  })
  evaluators = Array.from({ length: 3 }, () => openEvaluator(service))
})
afterAll(async () => {
  for (const { close } of evaluators) await close()
  await service.end()
})

type Change =
  | { kind: 'flush'; id: number; requests: number; failures: number }
  | { kind: 'use' | 'reset'; hash: string; tokens: number }
  | { kind: 'limit'; hash: string; limit: number }
  | { kind: 'rule'; name: string; rule: object | null }

const id = fc.constantFrom(1, 2)
const hash = fc.constantFrom('a', 'b')
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    kind: fc.constant('flush'),
    ...{ id, requests: fc.integer({ min: 1, max: 60 }), failures: fc.nat(60) },
  }),
  fc.record({ kind: fc.constantFrom('use', 'reset'), hash, tokens: fc.nat(60) }),
  fc.record({ kind: fc.constant('limit'), hash, limit: fc.constantFrom(-1, 0, 50, 100, 1_000) }),
  fc.tuple(id, fc.constantFrom(0.5, 0.9), fc.boolean()).map(([of, below, isThere]) => ({
    ...{ kind: 'rule', name: `rate_${of}`, rule: isThere ? { below, id: of } : null },
  })) as fc.Arbitrary<Change>,
  fc
    .tuple(fc.constantFrom(80, 100), fc.constantFrom(null, 'a'), fc.boolean())
    .map(([percent, token_hash, isThere]) => ({
      kind: 'rule',
      name: `quota_${percent}`,
      rule: isThere ? { kind: 'quota', percent, ...(token_hash && { token_hash }) } : null,
    })) as fc.Arbitrary<Change>,
)

const post = async (path: string, keys: object[]) =>
  expect((await service.post(path, { keys })).status).toBe(200)

async function make(made: Change): Promise<void> {
  switch (made.kind) {
    case 'flush': {
      const { requests } = made
      const success_requests = requests - Math.min(requests, made.failures)
      return post('/internal/apikey-stats/flush', [
        { api_key_id: made.id, requests, success_requests },
      ])
    }
    case 'use':
      return post('/internal/stats/flush', [
        { token_hash: made.hash, requests: 1, tokens: made.tokens },
      ])
    case 'reset':
      await service.act(`/admin/keys/${made.hash}/quota-reset`, { reason: 'test' })
      return
    case 'limit':
      await service.putCatalog({ keys: [{ token_hash: made.hash, quota_limit: made.limit }] })
      return
    case 'rule': {
      const { name, rule } = made
      if (rule === null) await service.fetch('admin', `/admin/rules/${name}`, { method: 'DELETE' })
      else if ('kind' in rule) await putRules(service, [{ name, ...rule }])
      else await putRules(service, [{ ...fails(name, 1), ...rule }])
    }
  }
}

/** Evaluates in all processes at once, until none finds anything. */
async function evaluate(): Promise<void> {
  for (;;) {
    const appended = await Promise.all(evaluators.map(({ rules }) => rules.evaluate()))
    if (appended.every((count) => count === 0)) return
  }
}

type Numbers = { total_requests: number; success_requests: number }
type Row = Record<'quota_limit' | 'quota_used', number> & { token_hash: string }
type Rule = { name: string; id?: number; below?: number; percent?: number; token_hash?: string }

/** What is crossed by what the service shows; undefined if there are too few requests to tell. */
async function readExpected(): Promise<Map<string, boolean | undefined>> {
  const expected = new Map<string, boolean | undefined>()
  const { items: keys } = await service.read<{ items: Row[] }>('/admin/keys')
  for (const rule of (await service.read<{ items: Rule[] }>('/admin/rules')).items) {
    const { name, id: group, below, percent, token_hash } = rule
    if (below !== undefined) {
      const path = `/admin/provider-groups/${group}`
      const { total_requests, success_requests } = await service.read<Numbers>(path)
      const rate = success_requests / total_requests
      const isKnown = total_requests === 0 || total_requests >= 10
      expected.set(`${name} provider_group ${group}`, isKnown ? rate < below : undefined)
      continue
    }
    for (const { token_hash: key, quota_limit, quota_used } of keys) {
      if (quota_limit <= 0 || (token_hash ?? key) !== key) continue
      expected.set(`${name} key ${key}`, quota_used * 100 >= quota_limit * percent!)
    }
  }
  return expected
}

const keyOf = ({ data: { rule, subject } }: Recorded) =>
  `${rule.name} ${subject.kind} ${subject.id}`

/** Folds the events, each of which must change something. */
function foldCrossed(events: readonly Recorded[]): Set<string> {
  const crossed = new Set<string>()
  for (const event of events) {
    const key = keyOf(event)
    expect([event.position, crossed.has(key)]).toEqual([
      event.position,
      event.type === 'RuleCleared',
    ])
    if (event.type === 'RuleCrossed') crossed.add(key)
    else crossed.delete(key)
  }
  return crossed
}

const runs = runsOf(10)

test(
  `each crossing is recorded once by three processes, in ${runs} random sequences`,
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 4, maxLength: 12 }), async (changes) => {
        for (const made of changes) {
          // Evaluations run while the change is made, and after it.
          await Promise.all([make(made), ...evaluators.map(({ rules }) => rules.evaluate())])
          await evaluate()
        }
        const crossed = foldCrossed(await readRecorded(service))
        for (const [key, isCrossed] of await readExpected()) {
          if (isCrossed !== undefined) expect([key, crossed.has(key)]).toEqual([key, isCrossed])
          crossed.delete(key)
        }
        // Nothing is crossed that no rule watches.
        expect([...crossed]).toEqual([])
      }),
      parametersOf(runs),
    )
  },
  timeoutOf(runs),
)

test('what was crossed is read again from a log that was imported', async () => {
  const { owner } = service.database
  const read = () => owner`
    select c.rule, c.subject_kind, c.subject_id, c.position::text
    from crossings c order by c.position`
  await putRules(service, [{ name: 'any', kind: 'quota', percent: 1 }])
  await post('/internal/stats/flush', [{ token_hash: 'a', requests: 1, tokens: 90 }])
  await service.putCatalog({ keys: [{ token_hash: 'a', quota_limit: 10 }] })
  await evaluate()
  const before = [...(await read())]
  expect(before.length).toBeGreaterThan(0)
  await owner`delete from crossings`
  await owner`delete from rule_events`
  await owner`update rule_folds set read_through = -1`
  await evaluate()
  expect([...(await read())]).toEqual(before)
})
