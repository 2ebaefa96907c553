import { beforeEach, describe, expect, test } from 'bun:test'
import type { UsageRequest } from '../../../src/proofs/verifier/sources/source.ts'
import { USAGE_LIMITS, type UsageLimits } from '../../../src/proofs/verifier/usage-pages.ts'
import { auditLog, type MemoryLog } from './memory.ts'
import { showRated, type UsagePage } from './memory-usage.ts'
import {
  ALL,
  API_KEY,
  DAY_MS,
  GROUP,
  KEY,
  makeUsedLog,
  on,
  serve,
  type UsageScope,
  withItems,
  withUsed,
} from './served-usage.ts'

// Usage of an honest log that was changed in the tables, as its pages show it.

let log: MemoryLog
beforeEach(() => {
  log = makeUsedLog()
})

const found = async (usage?: UsageLimits) =>
  (await auditLog(log, usage === undefined ? {} : { usage })).found

describe('usage', () => {
  test('of an honest log is compared completely and causes no finding', async () => {
    for (const hours of [0, 500_000]) {
      const { found, report } = await auditLog(log, { usage: { ...USAGE_LIMITS, hours } })
      const bucket = hours === 0 ? 'day' : 'hour'
      expect(found).toEqual([])
      expect(report.usage).toMatchObject({
        scopes: [
          { kind: 'all', bucket, compared: 1, of: 1 },
          { kind: 'provider_groups', bucket, compared: 1, of: 1 },
          { kind: 'api_keys', bucket, compared: 3, of: 3 },
          { kind: 'keys', bucket, compared: 1, of: 1 },
        ],
        outside: 0,
      })
      // Six rows, from 36 days before the first event through tomorrow.
      const days = Math.floor(Date.now() / DAY_MS) - Date.parse('2025-12-26') / DAY_MS + 2
      expect(report.usage!.buckets).toBe(6 * days * (hours === 0 ? 1 : 24))
    }
  })

  test.each<[string, UsageScope, string, Record<string, number>, string]>([
    ['a total', ALL, '2026-02-01', { total_requests: 19 }, 'all 2026-02-01'],
    ['a success', ALL, '2026-02-01', { success_requests: 17 }, 'all 2026-02-01'],
    ['a group', GROUP, '2026-02-02', { total_requests: 9 }, 'provider_groups 1 2026-02-02'],
    ['an API key', API_KEY, '2026-02-01', { total_requests: 11 }, 'api_keys 7 2026-02-01'],
    ['a day without usage', API_KEY, '2026-03-01', { total_requests: 1 }, 'api_keys 7 2026-03-01'],
    ['a token key', KEY, '2026-02-01', { request_count: 4 }, 'keys a 2026-02-01'],
    ['its tokens', KEY, '2026-02-01', { used_tokens: 5 }, 'keys a 2026-02-01'],
    ['its quota', KEY, '2026-02-01', { quota_used: 0 }, 'keys a 2026-02-01'],
  ])('with another number for %s is reported at its day', async (_, scope, day, used, at) => {
    serve(log, scope, (page) => withUsed(page, day, used))
    expect(await found()).toEqual([`total usage ${at}`])
  })

  test('is reported with both numbers and their position', async () => {
    serve(log, API_KEY, (page) => withUsed(page, '2026-02-01', { total_requests: 11 }))
    const { all } = await auditLog(log)
    expect(all.map(({ message }) => message)).toMatchSnapshot()
  })

  test('that was moved to another day is reported at both', async () => {
    serve(log, GROUP, (page) => {
      const moved = page.items.map((item) => {
        if (on('2026-02-01')(item)) return { ...item, ...showRated([0, 0]) }
        return on('2026-02-10')(item)
          ? { ...item, ...page.items.find(on('2026-02-01')), from: item.from, to: item.to }
          : item
      })
      return withItems(page, moved)
    })
    expect(await found()).toEqual([
      'total usage provider_groups 1 2026-02-01',
      'total usage provider_groups 1 2026-02-10',
    ])
  })

  test('that was moved within a day is reported only if compared by the hour', async () => {
    const move = (page: UsagePage) => {
      const from = page.items.findIndex((item) => Number(item.total_requests) > 0)
      const { from: _, to: __, ...used } = page.items[from]!
      return withItems(page, [
        ...page.items.slice(0, from),
        { ...page.items[from]!, ...showRated([0, 0]) },
        { ...page.items[from + 1]!, ...used },
        ...page.items.slice(from + 2),
      ])
    }
    serve(log, API_KEY, (page) => (page.bucket === 'hour' ? move(page) : page))
    expect(await found({ ...USAGE_LIMITS, hours: 0 })).toEqual([])
    expect(await found(USAGE_LIMITS)).toEqual([
      'total usage api_keys 7 2026-01-31T12:00Z',
      'total usage api_keys 7 2026-01-31T13:00Z',
    ])
  })

  test('of retired rows is compared', async () => {
    log.append('CatalogChanged', {
      upserted: {},
      ended: {
        provider_groups: [{ id: 1, name: 'openai' }],
        api_keys: [{ id: 7, group_id: 1, name: null }],
      },
    })
    expect(await found()).toEqual([])
    for (const scope of [GROUP, API_KEY]) {
      serve(log, scope, (page) =>
        withUsed(page, '2026-02-01', { total_requests: 0, success_requests: 0 }),
      )
      expect(await found()).toEqual([`total usage ${scope.kind} ${scope.key} 2026-02-01`])
    }
  })

  test('above 2^53 is compared to the last digit', async () => {
    for (let i = 0; i < 2; i++) log.flush(9, Number.MAX_SAFE_INTEGER)
    const exact = 2n * BigInt(Number.MAX_SAFE_INTEGER)
    const show = (total: bigint) => (page: UsagePage) => {
      const shown = { ...showRated([1, 1]), total_requests: total, success_requests: total }
      const items = page.items.map((item) =>
        on('2026-02-04')(item) ? { ...item, ...shown } : item,
      )
      return { ...page, items, total: shown }
    }
    const big: UsageScope = { kind: 'api_keys', key: 9 }
    serve(log, big, show(exact))
    const place = 'total usage api_keys 9 2026-02-04'
    expect(await found()).not.toContain(place)
    serve(log, big, show(exact + 1n))
    expect(await found()).toContain(place)
  })
})

describe('if there is too much usage', () => {
  const limits = { rows: 2, days: 500_000, hours: 0 }

  test('rows are chosen at random, and the number of compared rows is reported', async () => {
    const asked = new Set<UsageRequest['key']>()
    log.tampered.usage = ({ kind, key }, page) => {
      if (kind === 'api_keys') asked.add(key)
      return page
    }
    // Each audit compares 2 of 3: the probability that one is never compared is 3 in 3^50.
    for (let i = 0; i < 50; i++) {
      const { report } = await auditLog(log, { usage: limits })
      expect(report.usage!.scopes[2]).toMatchObject({ kind: 'api_keys', compared: 2, of: 3 })
    }
    expect(asked).toEqual(new Set([7, 8, 9]))
  })

  test('fewer rows of an old log are compared, but at least one', async () => {
    const ofDays = async (days: number) =>
      (await auditLog(log, { usage: { ...limits, rows: 3, days } })).report.usage!.scopes
    const some = await ofDays(3 * 400)
    expect(some[2]!.compared).toBeLessThan(4)
    expect((await ofDays(1)).map(({ compared }) => compared)).toEqual([1, 1, 1, 1])
  })

  test('usage of a row whose key cannot be requested is not requested', async () => {
    const row = log.pages().keys[0]!
    log.tampered.page = (path, page) =>
      path === 'keys'
        ? { ...page, rows: [row, ...['\ud800', ''].map((token_hash) => ({ ...row, token_hash }))] }
        : page
    const { found, report } = await auditLog(log)
    expect(found).toEqual(['total keys \ud800', 'total keys'])
    expect(report.usage!.scopes[3]).toMatchObject({ kind: 'keys', compared: 1, of: 1 })
  })
})
