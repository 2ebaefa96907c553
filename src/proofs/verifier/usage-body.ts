import type { Exact } from '../../events/exact.ts'
import { isSame, isWhole, ratedFields, toText } from './page-values.ts'
import type { UsageRequest } from './sources/source.ts'
import { countBuckets, formatBucket, indexOfBucket, startOfBucket } from './usage-range.ts'

/** A value shown for a bucket: a whole number, or any other value as text. */
export type Shown = Exact | string

/** A page of usage. */
export type UsageBody = {
  /** Values by the bucket's index, without buckets that have no usage. */
  shown: Map<number, Shown[]>
  /** Buckets that are missing. */
  missing: Set<number>
}

/** Reports what is wrong in a bucket, or (if `where` is empty) in the page. */
type Find = (where: string, message: string) => void

/** Returns the summed columns of usage, by their names on a page. */
export function usageFields({ kind }: UsageRequest): readonly string[] {
  return kind === 'keys'
    ? ['request_count', 'used_tokens', 'quota_used']
    : ['total_requests', 'success_requests']
}

/**
 * Reads a page of usage and reports where it contradicts itself. Returns null if it is not the
 * requested page.
 */
export function readUsageBody(request: UsageRequest, body: unknown, find: Find): UsageBody | null {
  const { items, total } = (body ?? {}) as Record<string, unknown>
  if (!isAsked(request, body) || !Array.isArray(items)) {
    find('', 'it is not the requested usage in UTC')
    return null
  }
  const missing = new Set<number>()
  const shown = new Map<number, Shown[]>()
  const sums = usageFields(request).map(() => 0n)
  let unexpected = 0
  let next = 0
  for (const item of items as unknown[]) {
    const index = indexOf(request, item)
    if (index === null || index < next) {
      unexpected++
      continue
    }
    for (; next < index; next++) missing.add(next)
    next++
    const fields = item as Record<string, unknown>
    if (isZero(request, fields)) continue
    const values = usageFields(request).map((field) => toShown(fields[field]))
    shown.set(index, values)
    for (const [i, value] of values.entries()) if (isWhole(value)) sums[i]! += BigInt(value)
    checkRates(request, fields, (message) => find(formatBucket(request, index), message))
  }
  for (; next < countBuckets(request); next++) missing.add(next)
  const [first] = missing
  if (first !== undefined) {
    const message = `the page omits ${missing.size} of its ${request.bucket}s, this one first`
    find(formatBucket(request, first), message)
  }
  if (unexpected > 0) {
    const what = `${unexpected} of its items are not ${request.bucket}s of the range`
    find('', `${what}, are repeated or out of order`)
  }
  checkTotal(request, total, sums, find)
  return { shown, missing }
}

function isAsked({ bucket, from, to }: UsageRequest, body: unknown): boolean {
  const shown = (body ?? {}) as Record<string, unknown>
  const isRange = toMoment(shown.from) === from && toMoment(shown.to) === to
  return isRange && shown.bucket === bucket && shown.tz === 'UTC'
}

/** Returns the index of an item's bucket, or null if it is not in the range. */
function indexOf(request: UsageRequest, item: unknown): number | null {
  const { from, to } = (item ?? {}) as Record<string, unknown>
  const start = toMoment(from)
  const index = indexOfBucket(request, start)
  const isWithin = index >= 0 && index < countBuckets(request)
  const isBucket = isWithin && start === startOfBucket(request, index)
  return isBucket && toMoment(to) === startOfBucket(request, index + 1) ? index : null
}

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0+)?(Z|[+-]\d\d:\d\d)$/

const toMoment = (text: unknown): number =>
  typeof text === 'string' && MOMENT.test(text) ? Date.parse(text) : Number.NaN

const RATES = ['failure_requests', 'success_rate', 'failure_rate'] as const

/** True if an item states that nothing was used, as for most buckets of most keys. */
function isZero(request: UsageRequest, item: Record<string, unknown>): boolean {
  const isNothing = usageFields(request).every((field) => item[field] === 0)
  return isNothing && (request.kind === 'keys' || RATES.every((field) => item[field] === 0))
}

const toShown = (value: unknown): Shown => (isWhole(value) ? value : toText(value).slice(0, 100))

/** Checks the values that follow from the sums. The sums themselves are compared with the log. */
function checkRates(
  { kind }: UsageRequest,
  item: Record<string, unknown>,
  find: (message: string) => void,
): void {
  const { total_requests: total, success_requests: success } = item
  if (kind === 'keys' || !isWhole(total) || !isWhole(success)) return
  for (const [field, value] of ratedFields(BigInt(total), BigInt(success))) {
    if (isSame(item[field], value)) continue
    find(`${field} is ${toText(item[field])}, but should be ${toText(value)}`)
  }
}

function checkTotal(request: UsageRequest, total: unknown, sums: bigint[], find: Find): void {
  const shown = (total ?? {}) as Record<string, unknown>
  for (const [i, field] of usageFields(request).entries()) {
    if (isSame(shown[field], sums[i])) continue
    find('total', `${field} is ${toText(shown[field])}, but its items add up to ${sums[i]}`)
  }
  checkRates(request, shown, (message) => find('total', message))
}
