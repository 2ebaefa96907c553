import type { UsageRequest } from '../../../src/proofs/verifier/sources/source.ts'
import { fillLog, MemoryLog } from './memory.ts'
import { showRated, type UsageItem, type UsagePage } from './memory-usage.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/**
 * A log of two shards, with seven and six events at intervals of half a day from
 * 2026-01-31T12:00Z.
 */
export function makeUsedLog(): MemoryLog {
  const log = new MemoryLog(2)
  log.stepMs = 12 * HOUR_MS
  return fillLog(log)
}

/** The accounts whose usage a page shows. */
export type UsageScope = Pick<UsageRequest, 'kind' | 'key'>
export const ALL: UsageScope = { kind: 'all', key: null }
export const GROUP: UsageScope = { kind: 'provider_groups', key: 1 }
export const API_KEY: UsageScope = { kind: 'api_keys', key: 7 }
export const KEY: UsageScope = { kind: 'keys', key: 'a' }

/** Serves the usage of one scope as changed by `change`. */
export const serve = (log: MemoryLog, scope: UsageScope, change: (page: UsagePage) => unknown) => {
  log.tampered.usage = ({ kind, key }, { body, positions }) => {
    const isInScope = kind === scope.kind && key === scope.key
    return { body: isInScope ? change(body) : body, positions }
  }
}

export const on = (day: string) => (item: UsageItem) => item.from.startsWith(day)

/** Returns the page with other items, and with their sum as its total. */
export const withItems = (page: UsagePage, items: UsageItem[]): UsagePage => {
  const sum = (field: string) => items.reduce((all, item) => all + Number(item[field]), 0)
  if ('total_requests' in page.total) {
    return { ...page, items, total: showRated([sum('total_requests'), sum('success_requests')]) }
  }
  const fields = ['request_count', 'used_tokens', 'quota_used']
  return { ...page, items, total: Object.fromEntries(fields.map((field) => [field, sum(field)])) }
}

/** Returns the page of a changed table, with the sums and rates of the changed rows. */
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
