import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { useService } from '../support/service.ts'
import { get } from './exact.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'

// Usage by dimension equals a naive model's, in random histories with late flushes and reversals,
// zones, groupings and limits; so its parts add up to the whole, now and as of any position.

const runs = runsOf(12)
const service = useService()

const DIMENSIONS = ['model', 'status'] as const
const MEASURES = ['cost', 'input'] as const
const ZONES = ['UTC', 'Asia/Kathmandu', 'Europe/Berlin', 'Australia/Lord_Howe']
const HASH = 'f'.repeat(64)
const GROUP_OF: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 0 }

type Entry = {
  id: number
  requests: number
  dimensions: Partial<Record<(typeof DIMENSIONS)[number], string>> | null
  measures: Partial<Record<(typeof MEASURES)[number], number>> | null
}
/** One posting of one entry to a scope. */
type Posted = { scope: string; atMs: number; entry: Entry; sign: 1n | -1n }

const entry: fc.Arbitrary<Entry> = fc.record({
  id: fc.integer({ min: 1, max: 5 }),
  requests: fc.oneof(fc.nat(5), fc.constantFrom(0, 2 ** 52, Number.MAX_SAFE_INTEGER)),
  dimensions: fc.option(
    fc.record(
      { model: fc.constantFrom('a', 'b', 'c', 'd'), status: fc.constantFrom('x', 'y') },
      { requiredKeys: [] },
    ),
  ),
  measures: fc.option(
    fc.record(
      { cost: fc.nat(9), input: fc.constantFrom(0, 7, Number.MAX_SAFE_INTEGER) },
      { requiredKeys: [] },
    ),
  ),
})
const flush = fc.record({
  ofKeys: fc.boolean(),
  entries: fc.array(entry, { minLength: 1, maxLength: 5 }),
  hoursAgo: fc.option(fc.nat(60)),
})
const read = fc.record({
  scope: fc.constantFrom(
    'all',
    'group_id=1',
    'group_id=2',
    'api_key_id=1',
    'api_key_id=4',
    `token_hash=${HASH}`,
  ),
  by: fc.constantFrom('model', 'status', 'model,status', 'status,model'),
  limit: fc.integer({ min: 1, max: 4 }),
  bucket: fc.constantFrom('hour', 'day'),
  tz: fc.constantFrom(...ZONES),
  /** Which of the positions seen so far; null for now. */
  past: fc.option(fc.nat(1_000)),
})
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('flush' as const), flush }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reverse' as const), nth: fc.nat(100) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), read }) },
)

type Flush = typeof flush extends fc.Arbitrary<infer One> ? One : never
type Read = typeof read extends fc.Arbitrary<infer One> ? One : never

/** What was posted so far, in the order of the log; histories continue on the same service. */
const posted: Posted[] = []
const flushes: { place: string; postings: Posted[]; isReversed: boolean }[] = []
const positions: { text: string; postings: number }[] = []

const idOf = (i: number) => (i === 5 ? 999 : i)

function postingsOf({ ofKeys, entries }: Flush, atMs: number): Posted[] {
  return entries.flatMap((one) => {
    const post = (scope: string): Posted => ({ scope, atMs, entry: one, sign: 1n })
    if (ofKeys) return one.id < 5 ? [post(`token_hash=${HASH}`)] : []
    const group = GROUP_OF[one.id]
    if (group === undefined) return []
    const own = post(`api_key_id=${one.id}`)
    return group === 0 ? [own] : [own, post(`group_id=${group}`), post('all')]
  })
}

async function takeFlush(one: Flush): Promise<void> {
  const nowMs = Date.now()
  const atMs = one.hoursAgo === null ? nowMs : nowMs - one.hoursAgo * 3_600_000
  const keys = one.entries.map(({ id, requests, ...details }) =>
    one.ofKeys
      ? { token_hash: id < 5 ? HASH : 'nobody', requests, tokens: 1, ...details }
      : { api_key_id: idOf(id), requests, success_requests: 0, ...details },
  )
  const path = one.ofKeys ? '/internal/stats/flush' : '/internal/apikey-stats/flush'
  const counted = one.hoursAgo === null ? {} : { counted_at: Math.floor(atMs / 1_000) }
  const response = await service.post(path, { keys, ...counted })
  expect(response.status).toBe(200)
  const postings = postingsOf(one, atMs)
  posted.push(...postings)
  const place = response.headers.get('tallybook-position')!
  flushes.push({ place, postings, isReversed: false })
}

const countsSomething = ({ scope, entry: one }: Posted) =>
  scope.startsWith('token_hash') ||
  one.requests > 0 ||
  Object.values(one.measures ?? {}).some((value) => value > 0)

async function reverse(nth: number): Promise<void> {
  const open = flushes.filter(
    ({ isReversed, postings }) => !isReversed && postings.some(countsSomething),
  )
  const one = open[nth % Math.max(open.length, 1)]
  if (one === undefined) return
  await service.act('/admin/corrections', { reverse: one.place, reason: 'twice' })
  one.isReversed = true
  posted.push(...one.postings.map((some) => ({ ...some, sign: -1n as const })))
}

type Item = Record<string, unknown>
type ExactBody = { items: Item[]; total: Item; from: string; to: string }

async function getExact(path: string): Promise<{ body: ExactBody; position: string }> {
  const { status, body, positions } = await get(service, path)
  if (status !== 200) throw new Error(`${path}: ${Bun.inspect(body)}`)
  return { body: body as ExactBody, position: positions! }
}

type Sums = { requests: bigint; tokens: bigint; measures: Record<string, bigint> }
const none = (): Sums => ({ requests: 0n, tokens: 0n, measures: { cost: 0n, input: 0n } })

function addTo(sums: Sums, { scope, entry: one, sign }: Posted): void {
  if (scope.startsWith('token_hash')) sums.tokens += sign
  sums.requests += sign * BigInt(one.requests)
  for (const name of MEASURES) {
    sums.measures[name]! += sign * BigInt(one.measures?.[name] ?? 0)
  }
}

/** The items that a read must have: by bucket, then by values. */
function expectedItems(
  all: readonly Posted[],
  by: readonly string[],
  limit: number,
  buckets: readonly { from: string; to: string }[],
): Map<string, Sums> {
  const valuesOf = ({ entry: one }: Posted) =>
    by.map((name) => one.dimensions?.[name as 'model'] ?? null)
  const inRange = all.flatMap((some) => {
    const i = buckets.findIndex(
      ({ from, to }) => some.atMs >= Date.parse(from) && some.atMs < Date.parse(to),
    )
    return i < 0 ? [] : [{ ...some, bucket: i, values: valuesOf(some) }]
  })
  const totals = new Map<string, bigint>()
  for (const { values, entry: one, sign, bucket: _ } of inRange) {
    if (values.every((value) => value === null)) continue
    const key = JSON.stringify(values)
    totals.set(key, (totals.get(key) ?? 0n) + sign * BigInt(one.requests))
  }
  // Nulls come last, as in SQL.
  const textOf = (key: string) => key.replaceAll('null', '"~"')
  const kept = [...totals]
    .sort(([a, x], [b, y]) => (x === y ? (textOf(a) < textOf(b) ? -1 : 1) : x > y ? -1 : 1))
    .slice(0, limit)
    .map(([key]) => key)
  const items = new Map<string, Sums>()
  for (const some of inRange) {
    const isKept =
      some.values.every((value) => value === null) || kept.includes(JSON.stringify(some.values))
    const values = isKept ? some.values : by.map(() => 'other')
    const key = JSON.stringify([buckets[some.bucket]!.from, values])
    const sums = items.get(key) ?? none()
    items.set(key, sums)
    addTo(sums, some)
  }
  for (const [key, { requests, tokens, measures }] of items) {
    const sums = [requests, tokens, ...Object.values(measures)]
    if (sums.every((sum) => sum === 0n)) items.delete(key)
  }
  return items
}

async function compare(one: Read): Promise<void> {
  const past = one.past === null ? null : positions[one.past % Math.max(positions.length, 1)]
  const from = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000 - 4 * 86_400_000)
  const to = new Date(from.getTime() + 6 * 86_400_000)
  const range = `from=${from.toISOString()}&to=${to.toISOString()}&bucket=${one.bucket}&tz=${one.tz}`
  const scope = one.scope === 'all' ? '' : `&${one.scope}`
  const asOf = past ? `&as_of_position=${past.text}` : ''
  const { body: whole } = await getExact(`/admin/usage?${range}${scope}${asOf}`)
  const all = (past ? posted.slice(0, past.postings) : posted).filter(
    (some) => some.scope === one.scope,
  )
  const by = one.by.split(',')
  const path = `/admin/usage?${range}${scope}${asOf}&group_by=${one.by}&limit=${one.limit}`
  const { body: divided, position } = await getExact(path)
  if (past === null) positions.push({ text: position, postings: posted.length })
  expect(toItems(divided.items, by)).toEqual(
    expectedItems(all, by, one.limit, whole.items as { from: string; to: string }[]),
  )
  expect(divided.total).toEqual(whole.total)
  const table = `/admin/breakdown?${range.replace(/&bucket=\w+/, '')}${scope}${asOf}&by=${one.by}&limit=${one.limit}`
  const { body: breakdown } = await getExact(table)
  const span = { from: breakdown.from, to: breakdown.to }
  const rows = breakdown.items.map((item) => ({ ...item, from: span.from }))
  expect(toItems(rows, by)).toEqual(expectedItems(all, by, one.limit, [span]))
  expect(breakdown.total).toEqual(whole.total)
}

function toItems(items: readonly Item[], by: readonly string[]): Map<string, Sums> {
  return new Map(
    items.map((item) => {
      const dimensions = item.dimensions as Record<string, string | null>
      const measures = item.measures as Record<string, bigint>
      return [
        JSON.stringify([item.from, by.map((name) => dimensions[name])]),
        {
          requests: (item.total_requests ?? item.request_count) as bigint,
          tokens: (item.used_tokens ?? 0n) as bigint,
          measures,
        },
      ]
    }),
  )
}

test(
  `usage by dimension equals the model's, in ${runs} histories`,
  async () => {
    const put = await service.putCatalog({
      provider_groups: [{ id: 1 }, { id: 2 }],
      api_keys: [1, 2, 3, 4].map((id) => ({ id, group_id: GROUP_OF[id] })),
      keys: [{ token_hash: HASH }],
      dimensions: DIMENSIONS.map((name) => ({ name })),
      measures: MEASURES.map((name) => ({ name })),
    })
    expect(put.status).toBe(200)
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 8, maxLength: 24 }),
      async (steps) => {
        for (const one of steps) {
          if (one.do === 'flush') await takeFlush(one.flush)
          else if (one.do === 'reverse') await reverse(one.nth)
          else await compare(one.read)
        }
      },
    )
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)
