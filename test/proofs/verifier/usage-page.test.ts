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
  type Of,
  on,
  serve,
  withItems,
} from './served-usage.ts'

// Pages of usage that are none, of a log that is sound, and their range.

let log: MemoryLog
beforeEach(() => {
  log = makeUsedLog()
})

const found = async (usage?: UsageLimits) =>
  (await auditLog(log, usage === undefined ? {} : { usage })).found

describe('a page of usage', () => {
  const change = (of: Of, change: (page: UsagePage) => unknown, at: string[]) => async () => {
    serve(log, of, change)
    expect(await found()).toEqual(at.map((place) => `total usage ${place}`))
  }
  const without = (day: string) => (page: UsagePage) =>
    withItems(
      page,
      page.items.filter((item) => !on(day)(item)),
    )

  test(
    'that leaves out a day without usage is found',
    change(KEY, without('2026-04-01'), ['keys a 2026-04-01']),
  )

  test(
    'that leaves out a day with usage is found',
    change(API_KEY, without('2026-02-01'), ['api_keys 7 2026-02-01']),
  )

  test('that leaves out its first or last days is found', async () => {
    serve(log, ALL, (page) => ({ ...page, items: page.items.slice(3) }))
    expect(await found()).toContain('total usage all 2026-01-01')
    serve(log, KEY, (page) => ({ ...page, items: page.items.slice(0, 100) }))
    expect(await found()).toEqual(['total usage keys a 2026-04-11'])
  })

  test(
    'that has a day twice is found',
    change(KEY, (page) => ({ ...page, items: [page.items[0], ...page.items] }), ['keys a']),
  )

  test('whose days overlap, or are not in their order, is found', async () => {
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
    ['an earlier begin', (page) => ({ ...page, from: '2026-01-30T00:00:00+00:00' })],
    ['an earlier end', (page) => ({ ...page, to: page.items.at(-1)!.from })],
    ['another zone', (page) => ({ ...page, tz: 'Europe/Berlin' })],
    ['hours', (page) => ({ ...page, bucket: 'hour' })],
    ['no range', ({ items, total }) => ({ items, total })],
    ['no items', (page) => ({ ...page, items: 7 })],
    ['nothing', () => null],
    ['a text', () => 'x'],
    ['a list', (page) => page.items],
  ])('with %s in place of what was asked for is found', async (_, other) => {
    for (const of of [ALL, KEY])
      await change(of, other, [[of.kind, ...(of.key ? [of.key] : [])].join(' ')])()
  })

  test.each([[null], [7], ['x'], [{}], [[]], [{ from: { toString: 1 } }]])(
    'with %j in place of a day is found',
    async (item) => {
      serve(log, KEY, (page) => ({ ...page, items: (page.items as unknown[]).with(70, item) }))
      expect(await found()).toEqual(['total usage keys a 2026-03-12', 'total usage keys a'])
    },
  )

  test.each([['3'], [null], [undefined], [3.5], [-3], [{ toString: 1 }], [1e300]])(
    'with %j in place of a number is found',
    async (value) => {
      for (const [of, field] of [
        [KEY, 'request_count'],
        [API_KEY, 'total_requests'],
      ] as const) {
        serve(log, of, (page) => ({
          ...page,
          items: page.items.map((item) =>
            on('2026-02-01')(item) ? { ...item, [field]: value } : item,
          ),
        }))
        expect(await found()).toContain(`total usage ${of.kind} ${of.key} 2026-02-01`)
      }
    },
  )

  test('whose rates are not those of its sums is found, in a day and in the total', async () => {
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

  test('whose total is not the sum of its days is found', async () => {
    for (const [of, field] of [
      [ALL, 'total_requests'],
      [KEY, 'used_tokens'],
    ] as const) {
      serve(log, of, (page) => ({ ...page, total: { ...page.total, [field]: 1 } }))
      expect(await found()).toContain(`total usage ${of.kind}${of.key ? ` ${of.key}` : ''} total`)
    }
    serve(log, KEY, (page) => ({ ...page, total: null }))
    expect(await found()).toEqual(['total usage keys a total'])
  })

  test('from before what was signed, or of other shards, is found', async () => {
    const at = (change: (positions: number[]) => number[]) => {
      log.tampered.usage = ({ kind }, page): ServedUsage =>
        kind === 'keys' ? { ...page, positions: change(page.positions) } : page
    }
    at(([first, ...others]) => [first! - 1, ...others])
    expect(await found()).toEqual(['total usage keys a'])
    at((positions) => positions.slice(1))
    expect(await found()).toEqual(['total usage keys a'])
  })

  test('read while the log grows is compared as of where it was read', async () => {
    log.tampered.usage = ({ kind }, page) => {
      log.flush(7, 2, 1, kind === 'keys' ? 1 : 0)
      if (kind === 'api_keys') log.flushKey('a', 1)
      return page
    }
    expect(await found()).toEqual([])
  })
})

describe('the range of usage', () => {
  test('is read in as many pages as it takes, each as of its own position', async () => {
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
    expect(ranges[0]!.from).toBe(Date.parse('2026-01-01'))
    for (const [i, { bucket, from, to }] of ranges.entries()) {
      expect(bucket).toBe('hour')
      expect(from).toBe(ranges[i - 1]?.to ?? from)
      expect((to - from) / HOUR_MS).toBeLessThanOrEqual(10_000)
    }
    // In the last page but one.
    const { from } = ranges.at(-2)!
    log.tampered.usage = (request, page) => {
      if (request.kind === 'all' && request.from === from) page.body.items[1]!.total_requests = 1
      return page
    }
    const place = `total usage all ${new Date(from + HOUR_MS).toISOString().slice(0, 16)}Z`
    expect(await found(USAGE_LIMITS)).toContain(place)
  })

  /** What is found where the first and the last event are read alone, and these are served. */
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

  test('that begins after the first event, as another was shown for it, is found', async () => {
    log.stepMs = 100 * DAY_MS
    log.flush(7, 3)
    log.flush(7, 3)
    const { found, report } = await auditServed(8)
    expect(found).toContain('total usage')
    expect(report.usage!.outside).toBe(0)
  })

  test('that ends before the last event is told of', async () => {
    log.stepMs = 1_000 * DAY_MS
    log.flush(7, 3)
    expect((await auditLog(log)).report.usage!.outside).toBe(0)
    const { found, report } = await auditServed(0)
    expect([found, report.usage!.outside]).toEqual([[], 1])
  })
})
