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
  type Of,
  on,
  serve,
  withItems,
  withUsed,
} from './served-usage.ts'

// What pages of usage show that was changed in the database, of a log that is sound.

let log: MemoryLog
beforeEach(() => {
  log = makeUsedLog()
})

const found = async (usage?: UsageLimits) =>
  (await auditLog(log, usage === undefined ? {} : { usage })).found

describe('usage', () => {
  test('of a sound log is found sound, all of it', async () => {
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
      // Six rows, from thirty days before the first one to tomorrow.
      const days = Math.floor(Date.now() / DAY_MS) - Date.parse('2026-01-01') / DAY_MS + 2
      expect(report.usage!.buckets).toBe(6 * days * (hours === 0 ? 1 : 24))
    }
  })

  test.each<[string, Of, string, Record<string, number>, string]>([
    ['a total', ALL, '2026-02-01', { total_requests: 19 }, 'all 2026-02-01'],
    ['a success', ALL, '2026-02-01', { success_requests: 17 }, 'all 2026-02-01'],
    ['a group', GROUP, '2026-02-02', { total_requests: 9 }, 'provider_groups 1 2026-02-02'],
    ['an API key', API_KEY, '2026-02-01', { total_requests: 11 }, 'api_keys 7 2026-02-01'],
    ['nothing', API_KEY, '2026-03-01', { total_requests: 1 }, 'api_keys 7 2026-03-01'],
    ['a token key', KEY, '2026-02-01', { request_count: 4 }, 'keys a 2026-02-01'],
    ['its tokens', KEY, '2026-02-01', { used_tokens: 5 }, 'keys a 2026-02-01'],
    ['its quota', KEY, '2026-02-01', { quota_used: 0 }, 'keys a 2026-02-01'],
  ])('with another number for %s is named by its day', async (_, of, day, used, at) => {
    serve(log, of, (page) => withUsed(page, day, used))
    expect(await found()).toEqual([`total usage ${at}`])
  })

  test('says both numbers, and as of which position', async () => {
    serve(log, API_KEY, (page) => withUsed(page, '2026-02-01', { total_requests: 11 }))
    const { all } = await auditLog(log)
    expect(all.map(({ message }) => message)).toMatchSnapshot()
  })

  test('that was moved from one day to another is named at both', async () => {
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

  test('that was moved within a day is named by the hours, and not by days', async () => {
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

  test('of rows that ended is compared too', async () => {
    log.append('CatalogChanged', {
      upserted: {},
      ended: {
        provider_groups: [{ id: 1, name: 'openai' }],
        api_keys: [{ id: 7, group_id: 1, name: null }],
      },
    })
    expect(await found()).toEqual([])
    for (const of of [GROUP, API_KEY]) {
      serve(log, of, (page) =>
        withUsed(page, '2026-02-01', { total_requests: 0, success_requests: 0 }),
      )
      expect(await found()).toEqual([`total usage ${of.kind} ${of.key} 2026-02-01`])
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
    const big: Of = { kind: 'api_keys', key: 9 }
    serve(log, big, show(exact))
    const place = 'total usage api_keys 9 2026-02-04'
    expect(await found()).not.toContain(place)
    serve(log, big, show(exact + 1n))
    expect(await found()).toContain(place)
  })
})

describe('where there is too much usage', () => {
  const limits = { rows: 2, days: 500_000, hours: 0 }

  test('rows are left to chance, and how many were left out is said', async () => {
    const asked = new Set<UsageRequest['key']>()
    log.tampered.usage = ({ kind, key }, page) => {
      if (kind === 'api_keys') asked.add(key)
      return page
    }
    // Each time 2 of 3: that one is never among them happens once in 3^50 times.
    for (let i = 0; i < 50; i++) {
      const { report } = await auditLog(log, { usage: limits })
      expect(report.usage!.scopes[2]).toMatchObject({ kind: 'api_keys', compared: 2, of: 3 })
    }
    expect(asked).toEqual(new Set([7, 8, 9]))
  })

  test('an old log has fewer rows compared, and one at least', async () => {
    const ofDays = async (days: number) =>
      (await auditLog(log, { usage: { ...limits, rows: 3, days } })).report.usage!.scopes
    const some = await ofDays(3 * 400)
    expect(some[2]!.compared).toBeLessThan(4)
    expect((await ofDays(1)).map(({ compared }) => compared)).toEqual([1, 1, 1, 1])
  })

  test('what a row of a list can not be asked for is not asked', async () => {
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
