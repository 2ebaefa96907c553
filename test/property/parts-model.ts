import fc from 'fast-check'

// The steps of random histories of usage by dimension, and what reads must answer.

export const DIMENSIONS = ['model', 'status'] as const
export const MEASURES = ['cost', 'input'] as const
const ZONES = ['UTC', 'Asia/Kathmandu', 'Europe/Berlin', 'Australia/Lord_Howe']
/** The token key of the catalog. */
export const HASH = 'f'.repeat(64)

type Entry = {
  id: number
  requests: number
  dimensions: Partial<Record<(typeof DIMENSIONS)[number], string>> | null
  measures: Partial<Record<(typeof MEASURES)[number], number>> | null
}
/** One posting of one entry to a scope. */
export type Posted = { scope: string; atMs: number; entry: Entry; sign: 1n | -1n }

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
    'adopted api_key',
    'adopted token_hash',
  ),
  by: fc.constantFrom('model', 'status', 'model,status', 'status,model'),
  limit: fc.integer({ min: 1, max: 4 }),
  /** The measure of which the largest values have the most; null for the requests. */
  largestBy: fc.constantFrom(null, null, ...MEASURES),
  bucket: fc.constantFrom('hour', 'day'),
  tz: fc.constantFrom(...ZONES),
  /** Which of the positions seen so far; null for now. */
  past: fc.option(fc.nat(1_000)),
})
/** A step of a history. */
export const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('flush' as const), flush }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reverse' as const), nth: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('adopt' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), read }) },
)

export type Flush = typeof flush extends fc.Arbitrary<infer One> ? One : never
export type Read = typeof read extends fc.Arbitrary<infer One> ? One : never

type Item = Record<string, unknown>
export type ExactBody = { items: Item[]; total: Item; from: string; to: string }

type Sums = { requests: bigint; tokens: bigint; measures: Record<string, bigint> }
const none = (): Sums => ({ requests: 0n, tokens: 0n, measures: { cost: 0n, input: 0n } })

const isNothing = ({ requests, tokens, measures }: Sums) =>
  [requests, tokens, ...Object.values(measures)].every((sum) => sum === 0n)

function addTo(sums: Sums, { scope, entry: one, sign }: Posted): void {
  if (scope.startsWith('token_hash')) sums.tokens += sign
  sums.requests += sign * BigInt(one.requests)
  for (const name of MEASURES) {
    sums.measures[name]! += sign * BigInt(one.measures?.[name] ?? 0)
  }
}

/** The items that a read must have: by bucket, then by values. */
export function expectedItems(
  all: readonly Posted[],
  by: readonly string[],
  { limit, largestBy }: Pick<Read, 'limit' | 'largestBy'>,
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
  const sumsOf = new Map<string, Sums>()
  for (const { values, ...some } of inRange) {
    if (values.every((value) => value === null)) continue
    const key = JSON.stringify(values)
    const sums = sumsOf.get(key) ?? none()
    sumsOf.set(key, sums)
    addTo(sums, some)
  }
  // A value that nothing is counted with takes no place.
  const totals = [...sumsOf].flatMap(([key, sums]): [string, bigint][] =>
    isNothing(sums) ? [] : [[key, largestBy === null ? sums.requests : sums.measures[largestBy]!]],
  )
  // Nulls come last, as in SQL.
  const textOf = (key: string) => key.replaceAll('null', '"~"')
  const kept = totals
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
  for (const [key, sums] of items) {
    if (isNothing(sums)) items.delete(key)
  }
  return items
}

export function toItems(items: readonly Item[], by: readonly string[]): Map<string, Sums> {
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
