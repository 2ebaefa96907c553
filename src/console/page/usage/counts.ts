import { type Exact, toExact } from '../../../events/exact.ts'
import { COUNT, readUnit, type Unit } from '../unit.ts'

const FIELDS = {
  total_requests: 'Requests',
  success_requests: 'Successes',
  failure_requests: 'Failures',
  request_count: 'Requests',
  used_tokens: 'Tokens',
  quota_used: 'Quota used',
} as const

type Field = keyof typeof FIELDS

/** Counts by their names in the API: of requests, or of a token key's use; and measures. */
export type Counts = { [Name in Field]?: Exact } & { measures?: Record<string, Exact> }

/** A count that can be shown. */
export type Shown = {
  /** Its name in the URL and in CSV files. */
  id: string
  title: string
  unit: Unit
  read: (counts: Counts) => Exact
}

const shownOf = (id: Field): Shown => ({
  ...{ id, title: FIELDS[id], unit: COUNT },
  read: (counts) => counts[id] ?? 0,
})

/** The counts of requests, and those of a token key; the first is that of the chart by default. */
export const REQUESTS: readonly Shown[] = [
  ...[shownOf('total_requests'), shownOf('success_requests'), shownOf('failure_requests')],
]
export const TOKENS: readonly Shown[] = [
  ...[shownOf('used_tokens'), shownOf('request_count'), shownOf('quota_used')],
]

const PREFIX = 'measures.'

/** Returns how to show a measure. The prefix tells its name from that of a count. */
export const shownMeasure = (name: string, unit: string | null): Shown => ({
  ...{ id: `${PREFIX}${name}`, title: name, unit: readUnit(unit) },
  read: ({ measures }) => measures?.[name] ?? 0,
})

/** Returns what the URL names, or the first count; a measure may not be declared (yet). */
export function findShown(all: readonly Shown[], id: string): Shown {
  const found = all.find((shown) => shown.id === id)
  if (found !== undefined) return found
  return id.startsWith(PREFIX) ? shownMeasure(id.slice(PREFIX.length), null) : all[0]!
}

/** Returns a sum without rounding. */
export function plus(a: Exact, b: Exact): Exact {
  const sum = typeof a === 'number' && typeof b === 'number' ? a + b : Number.NaN
  return Number.isSafeInteger(sum) ? sum : toExact(String(BigInt(a) + BigInt(b)))
}

/** Adds up counts. */
export function addCounts(a: Counts, b: Counts): Counts {
  const sum: Counts = {}
  for (const field of Object.keys(FIELDS) as Field[]) {
    if (field in a || field in b) sum[field] = plus(a[field] ?? 0, b[field] ?? 0)
  }
  const measures = { ...a.measures }
  for (const [name, value] of Object.entries(b.measures ?? {})) {
    measures[name] = plus(measures[name] ?? 0, value)
  }
  return { ...sum, measures }
}
