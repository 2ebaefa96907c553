import { beforeEach, describe, expect, test } from 'bun:test'
import type { ServedUsage, UsageRequest } from '../../../src/proofs/verifier/sources/source.ts'
import { USAGE_LIMITS, type UsageLimits } from '../../../src/proofs/verifier/usage-pages.ts'
import { auditLog, type MemoryLog } from './memory.ts'
import type { UsagePage } from './memory-usage.ts'
import {
  ALL,
  API_KEY,
  DAY_MS,
  HOUR_MS,
  KEY,
  makeUsedLog,
  on,
  serve,
  type UsageScope,
  withItems,
} from './served-usage.ts'

// Invalid pages of usage of an honest log, and the range of usage that is read.

let log: MemoryLog
beforeEach(() => {
  log = makeUsedLog()
})

const found = async (usage?: UsageLimits) =>
  (await auditLog(log, usage === undefined ? {} : { usage })).found

describe('a page of usage', () => {
  const change =
    (scope: UsageScope, change: (page: UsagePage) => unknown, at: string[]) => async () => {
      serve(log, scope, change)
      expect(await found()).toEqual(at.map((place) => `total usage ${place}`))
    }
  const without = (day: string) => (page: UsagePage) =>
    withItems(
      page,
      page.items.filter((item) => !on(day)(item)),
    )

  test(
    'without a day that has no usage is reported',
    change(KEY, without('2026-04-01'), ['keys a 2026-04-01']),
  )

  test(
    'without a day that has usage is reported',
    change(API_KEY, without('2026-02-01'), ['api_keys 7 2026-02-01']),
  )

  test('without its first or last days is reported', async () => {
    serve(log, ALL, (page) => ({ ...page, items: page.items.slice(3) }))
    expect(await found()).toContain('total usage all 2025-12-26')
    serve(log, KEY, (page) => ({ ...page, items: page.items.slice(0, 100) }))
    expect(await found()).toEqual(['total usage keys a 2026-04-05'])
  })

  test(
    'with a day twice is reported',
    change(KEY, (page) => ({ ...page, items: [page.items[0], ...page.items] }), ['keys a']),
  )

  test('whose days overlap or are out of order is reported', async () => {
    const second = (page: UsagePage) => page.items[1]!
    for (const items of [
      (page: UsagePage) => page.items.with(1, { ...second(page), from: page.from }),
      (page: UsagePage) => page.items.with(1, { ...second(page), to: page.to }),
      (page: UsagePage) => page.items.with(1, page.items[2]!).with(2, second(page)),
    ]) {
      serve(log, { kind: 'api_keys', key: 8 }, (page) => ({ ...page, items: items(page) }))
      expect(await found()).toContain('total usage api_keys 8')
    }
  })

  test.each<[string, (page: UsagePage) => unknown]>([
    ['an earlier start', (page) => ({ ...page, from: '2026-01-30T00:00:00+00:00' })],
    ['an earlier end', (page) => ({ ...page, to: page.items.at(-1)!.from })],
    ['another time zone', (page) => ({ ...page, tz: 'Europe/Berlin' })],
    ['hours', (page) => ({ ...page, bucket: 'hour' })],
    ['no range', ({ items, total }) => ({ items, total })],
    ['no items', (page) => ({ ...page, items: 7 })],
    ['nothing', () => null],
    ['a text', () => 'x'],
    ['a list', (page) => page.items],
  ])('with %s instead of what was requested is reported', async (_, other) => {
    for (const scope of [ALL, KEY])
      await change(scope, other, [[scope.kind, ...(scope.key ? [scope.key] : [])].join(' ')])()
  })

  test.each([[null], [7], ['x'], [{}], [[]], [{ from: { toString: 1 } }]])(
    'with %j instead of a day is reported',
    async (item) => {
      serve(log, KEY, (page) => ({ ...page, items: (page.items as unknown[]).with(70, item) }))
      expect(await found()).toEqual(['total usage keys a 2026-03-06', 'total usage keys a'])
    },
  )

  test.each([['3'], [null], [undefined], [3.5], [-3], [{ toString: 1 }], [1e300]])(
    'with %j instead of a number is reported',
    async (value) => {
      for (const [scope, field] of [
        [KEY, 'request_count'],
        [API_KEY, 'total_requests'],
      ] as const) {
        serve(log, scope, (page) => ({
          ...page,
          items: page.items.map((item) =>
            on('2026-02-01')(item) ? { ...item, [field]: value } : item,
          ),
        }))
        expect(await found()).toContain(`total usage ${scope.kind} ${scope.key} 2026-02-01`)
      }
    },
  )

  test('whose rates do not match its sums is reported, in a day and in the total', async () => {
    const rates = { failure_requests: 2, success_rate: 0.5, failure_rate: 0 }
    for (const [field, value] of Object.entries(rates)) {
      serve(log, API_KEY, (page) => ({
        ...page,
        items: page.items.map((item) =>
          on('2026-02-01')(item) ? { ...item, [field]: value + 1 } : item,
        ),
        total: { ...page.total, [field]: value + 1 },
      }))
      expect(await found()).toEqual([
        'total usage api_keys 7 2026-02-01',
        'total usage api_keys 7 total',
      ])
    }
  })

  test('whose total is not the sum of its days is reported', async () => {
    for (const [scope, field] of [
      [ALL, 'total_requests'],
      [KEY, 'used_tokens'],
    ] as const) {
      serve(log, scope, (page) => ({ ...page, total: { ...page.total, [field]: 1 } }))
      expect(await found()).toContain(
        `total usage ${scope.kind}${scope.key ? ` ${scope.key}` : ''} total`,
      )
    }
    serve(log, KEY, (page) => ({ ...page, total: null }))
    expect(await found()).toEqual(['total usage keys a total'])
  })

  test('as of a position before the signed head, or of other shards, is reported', async () => {
    const at = (change: (positions: number[]) => number[]) => {
      log.tampered.usage = ({ kind }, page): ServedUsage =>
        kind === 'keys' ? { ...page, positions: change(page.positions) } : page
    }
    at(([first, ...others]) => [first! - 1, ...others])
    expect(await found()).toEqual(['total usage keys a'])
    at((positions) => positions.slice(1))
    expect(await found()).toEqual(['total usage keys a'])
  })

  test('that is read while the log grows is compared as of its own position', async () => {
    log.tampered.usage = ({ kind }, page) => {
      log.flush(7, 2, 1, kind === 'keys' ? 1 : 0)
      if (kind === 'api_keys') log.flushKey('a', 1)
      return page
    }
    expect(await found()).toEqual([])
  })
})

describe('the range of usage', () => {
  test('is read in pages, each as of its own position', async () => {
    log.stepMs = 120 * DAY_MS
    log.flush(7, 3)
    const ranges: UsageRequest[] = []
    log.tampered.usage = (request, page) => {
      if (request.kind === 'all') ranges.push(request)
      log.flush(8, 1)
      return page
    }
    expect(await found(USAGE_LIMITS)).toEqual([])
    expect(ranges.length).toBeGreaterThan(2)
    expect(ranges[0]!.from).toBe(Date.parse('2025-12-26'))
    for (const [i, { bucket, from, to }] of ranges.entries()) {
      expect(bucket).toBe('hour')
      expect(from).toBe(ranges[i - 1]?.to ?? from)
      expect((to - from) / HOUR_MS).toBeLessThanOrEqual(10_000)
    }
    // A wrong number on the last page but one.
    const { from } = ranges.at(-2)!
    log.tampered.usage = (request, page) => {
      if (request.kind === 'all' && request.from === from) page.body.items[1]!.total_requests = 1
      return page
    }
    const place = `total usage all ${new Date(from + HOUR_MS).toISOString().slice(0, 16)}Z`
    expect(await found(USAGE_LIMITS)).toContain(place)
  })

  /** Audits while a request for a single event returns the event at `position`. */
  const auditServed = (position: number) => {
    const source = log.source()
    const events = source.events!
    return auditLog(log, {
      source: {
        ...source,
        events: {
          ...events,
          readLines: (shard, from, to) =>
            events.readLines(shard, to - from === 1 ? position : from, to),
        },
      },
    })
  }

  test('is reported if it starts too late because another first event was served', async () => {
    log.stepMs = 100 * DAY_MS
    log.flush(7, 3)
    log.flush(7, 3)
    const { found, report } = await auditServed(8)
    expect(found).toContain('total usage')
    expect(report.usage!.outside).toBe(0)
  })

  test('counts what is outside if it ends before the last event', async () => {
    log.stepMs = 1_000 * DAY_MS
    log.flush(7, 3)
    expect((await auditLog(log)).report.usage!.outside).toBe(0)
    const { found, report } = await auditServed(0)
    expect([found, report.usage!.outside]).toEqual([[], 1])
  })
})
