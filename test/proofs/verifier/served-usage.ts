import type { UsageRequest } from '../../../src/proofs/verifier/sources/source.ts'
import { fillLog, MemoryLog } from './memory.ts'
import { showRated, type UsageItem, type UsagePage } from './memory-usage.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** Half a day between events, of which shard 0 has seven and shard 1 six, from 2026-01-31T12:00Z. */
export function makeUsedLog(): MemoryLog {
  const log = new MemoryLog(2)
  log.stepMs = 12 * HOUR_MS
  return fillLog(log)
}

/** Whose usage a page is of. */
export type Of = Pick<UsageRequest, 'kind' | 'key'>
export const ALL: Of = { kind: 'all', key: null }
export const GROUP: Of = { kind: 'provider_groups', key: 1 }
export const API_KEY: Of = { kind: 'api_keys', key: 7 }
export const KEY: Of = { kind: 'keys', key: 'a' }

/** Serves the usage of one as `change` makes it. */
export const serve = (log: MemoryLog, of: Of, change: (page: UsagePage) => unknown) => {
  log.tampered.usage = ({ kind, key }, { body, positions }) => {
    const isOf = kind === of.kind && key === of.key
    return { body: isOf ? change(body) : body, positions }
  }
}

export const on = (day: string) => (item: UsageItem) => item.from.startsWith(day)

/** The page with other items, whose total is the sum of them. */
export const withItems = (page: UsagePage, items: UsageItem[]): UsagePage => {
  const sum = (field: string) => items.reduce((all, item) => all + Number(item[field]), 0)
  if ('total_requests' in page.total) {
    return { ...page, items, total: showRated([sum('total_requests'), sum('success_requests')]) }
  }
  const fields = ['request_count', 'used_tokens', 'quota_used']
  return { ...page, items, total: Object.fromEntries(fields.map((field) => [field, sum(field)])) }
}

/** The page as a changed table makes it: sums and rates are those of the changed rows. */
export const withUsed = (page: UsagePage, day: string, used: Record<string, number>): UsagePage => {
  const items = page.items.map((item) => {
    if (!on(day)(item)) return item
    const changed = { ...item, ...used }
    if (!('total_requests' in changed)) return changed
    const sums = [changed.total_requests, changed.success_requests].map(Number)
    return { ...changed, ...showRated(sums) }
  })
  return withItems(page, items)
}
