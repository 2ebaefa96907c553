import { beforeEach, describe, expect, test } from 'bun:test'
import { encodeApiKeyFlush } from '../../../src/events/api-key-flush-payload.ts'
import { auditEvents, edit, makeBooks, type Payload, placeOf } from './books.ts'

// Reversals and adoptions in a log whose owner can change every event and sign it again. Each is
// compared with the events that it names.

type Books = ReturnType<typeof makeBooks>
type Change = (payload: Payload) => unknown

let books: Books
beforeEach(() => {
  books = makeBooks()
})

test('an audit of honest acts compares all of them and finds nothing', async () => {
  const { found, report } = await auditEvents(books.log)
  expect(found).toEqual([])
  expect(report).toMatchObject({ acts: 6, missedActs: 0 })
})

describe('a reversal is reported', () => {
  const changes: [string, 'ofMixed' | 'ofKeys' | 'ofOpened' | 'ofAdjusted', Change][] = [
    ['that names an event after the end of a shard', 'ofMixed', (p) => (p.reversed = '1/99')],
    ['that names a shard that is not there', 'ofMixed', (p) => (p.reversed = '2/0')],
    ['that names itself', 'ofAdjusted', (p) => (p.reversed = '0/9')],
    ['that names another type of event', 'ofAdjusted', (p) => (p.reversed = '0/3')],
    ['that states another type', 'ofAdjusted', (p) => (p.type = 'BalancesOpened')],
    ['of another flush', 'ofMixed', (p) => (p.reversed = '1/2')],
    ['that states another time', 'ofMixed', (p) => (p.at = '2026-01-31T12:01:00.000000+00:00')],
    ['of balances as of another time', 'ofOpened', (p) => (p.at = p.at.replace('2026', '2025'))],
    ['that takes back more', 'ofMixed', (p) => p.api_keys.requests[0]++],
    ['that takes back less', 'ofMixed', (p) => p.api_keys.successes[0]--],
    ['that takes back balances in part', 'ofOpened', (p) => (p.api_keys.requests = [99])],
    ['that takes back nothing', 'ofOpened', (p) => delete p.api_keys],
    ['that leaves out the group', 'ofMixed', (p) => delete p.provider_groups],
    ['that takes back from another key', 'ofAdjusted', (p) => (p.keys.hashes = ['b'])],
    ['that leaves out what an adoption counted', 'ofMixed', (p) => (p.api_keys.requests[1] = 0)],
    ['that takes back quota that was reset', 'ofKeys', (p) => (p.keys.quota_used = [20, 10])],
    ['that leaves quota that was not reset', 'ofKeys', (p) => (p.keys.quota_used = [0, 0])],
    ['that withdraws more', 'ofMixed', (p) => p.unknown.api_keys.requests[0]++],
    ['that withdraws another key', 'ofKeys', (p) => (p.unknown.keys.hashes = ['d'])],
    ['that withdraws nothing', 'ofKeys', (p) => (p.unknown = {})],
  ]
  test.each(changes)('%s', async (_, which, change) => {
    edit(books.log, books[which], change)
    const { found, report } = await auditEvents(books.log)
    expect(found).toEqual([`reversal ${placeOf(books[which])}`])
    expect(report).toMatchObject({ acts: 6, missedActs: 0 })
  })

  test('that names a later event of its shard', async () => {
    const { log, adopted, reverse } = books
    const reversal = reverse(adopted, {
      ...{ reversed: '0/11', type: 'TotalsAdjusted', at: '2026-01-31T15:40:00.011000+00:00' },
      api_keys: { ids: [7], requests: [1], successes: [1] },
    })
    const api_keys = { ids: [7], requests: [1], successes: [1] }
    const adjusted = log.append('TotalsAdjusted', { reason: 'by hand', api_keys })
    expect(placeOf(adjusted)).toBe('0/11')
    expect((await auditEvents(log)).found).toEqual([`reversal ${placeOf(reversal)}`])
  })

  test('only if its quota was reset between the event and the reversal', async () => {
    const { log, reverse } = books
    const amounts = { hashes: ['b'], requests: [1], tokens: [2], quota_used: [2] }
    const event = log.append('TotalsAdjusted', { reason: 'by hand', keys: amounts })
    const reversal = reverse(event, { keys: amounts })
    const reset = log.append('QuotaReset', {
      ...{ at: reversal.recordedAt, through: '0/11,1/3', reason: 'new contract' },
      keys: { hashes: ['b'], requests: [0], tokens: [0], quota_used: [0] },
    })
    expect((await auditEvents(log)).found).toEqual([])
    edit(log, reversal, (payload) => (payload.keys.quota_used = [0]))
    expect((await auditEvents(log)).found).toEqual([
      `reversal ${placeOf(reversal)}`,
      `reset ${placeOf(reset)}`,
    ])
  })

  test('of an event that was reversed before', async () => {
    const { reverse, mixed, ofMixed, log } = books
    const second = reverse(mixed, JSON.parse(ofMixed.payload), 2)
    expect((await auditEvents(log)).found).toEqual([`reversal ${placeOf(second)}`])
  })

  test('of a flush that has counted nothing', async () => {
    const { log, reverse } = books
    const event = log.append(
      'ApiKeyStatsFlushed',
      { groups: [null], counts: [1], ids: [9], requests: [1], successes: [1] },
      { shard: 1 },
    )
    const unknown = { api_keys: { names: ['9'], requests: [1], successes: [1] } }
    const reversal = reverse(event, { unknown }, 2)
    expect((await auditEvents(log)).found).toEqual([`reversal ${placeOf(reversal)}`])
  })

  test('of an event that can not be read', async () => {
    const { log, reverse } = books
    const event = log.append('TotalsAdjusted', { reason: '' })
    const reversal = reverse(event, {})
    expect((await auditEvents(log)).found).toEqual([`reversal ${placeOf(reversal)}`])
  })

  test('outside shard 0', async () => {
    const { log, ofAdjusted } = books
    log.append('EventReversed', JSON.parse(ofAdjusted.payload), { shard: 1 })
    expect((await auditEvents(log)).found).toEqual(['reversal 1/4'])
  })
})

describe('an adoption is reported', () => {
  const changes: [string, Change][] = [
    ['that took more requests', (p) => p.api_keys.requests[0]++],
    ['that took fewer successes', (p) => p.api_keys.successes[0]--],
    ['that took fewer tokens', (p) => p.keys.tokens[0]--],
    ['that took another number of flushes', (p) => p.api_keys.flushes[1]++],
    [
      'that left out a quarter hour',
      (p) => {
        for (const column of Object.values(p.api_keys) as unknown[][]) column.pop()
      },
    ],
    [
      'that counts a quarter hour twice',
      (p) => {
        for (const column of Object.values(p.api_keys) as unknown[][]) column.push(column[1])
      },
    ],
    [
      'that took from one quarter hour what was posted in another',
      (p) => Object.assign(p.api_keys, { requests: [9, 9], successes: [9, 8], flushes: [2, 1] }),
    ],
    ['that counts in another quarter hour', (p) => (p.keys.times = [p.api_keys.times[1]])],
    ['of a name that no flush has', (p) => (p.keys.hashes = ['d'])],
    ['that counts for another API key', (p) => (p.api_keys.ids = [7, 7])],
    ['that counts for two groups', (p) => (p.api_keys.groups = [1, 2])],
    ['that uses up another quota', (p) => (p.keys.quota_used = [19])],
    ['with a later last access', (p) => (p.keys.last_accessed_at = [3])],
    ['with an earlier last access', (p) => (p.keys.last_accessed_at = [1])],
    ['that covers less', (p) => (p.heads[1] = 2)],
    ['that covers events after the end of the log', (p) => (p.heads[1] = 99)],
    ['that covers itself', (p) => (p.heads[0] = 4)],
    ['that covers only one shard', (p) => p.heads.pop()],
    ['that covers a shard that is not there', (p) => p.heads.push(-1)],
  ]
  test.each(changes)('%s', async (_, change) => {
    const { log, adopted } = books
    edit(log, adopted, change)
    const { found } = await auditEvents(log)
    expect(found).toContain(`adoption ${placeOf(adopted)}`)
  })

  test('that takes again what an earlier one took', async () => {
    const { log, adopted } = books
    const second = log.append('UnknownKeysAdopted', JSON.parse(adopted.payload))
    expect((await auditEvents(log)).found).toEqual([`adoption ${placeOf(second)}`])
  })

  const late = (changed: object = {}) => ({
    ...{ heads: [8, 4], until: '2026-01-31T13:20:00.000000+00:00' },
    api_keys: {
      ...{ ids: [777], groups: [1], names: ['777'], times: ['2026-01-31T13:15:00.000000+00:00'] },
      ...{ requests: [2], successes: [2], flushes: [1], ...changed },
    },
  })

  test('unless it takes only what came after an earlier one', async () => {
    const { log } = books
    log.append(
      'ApiKeyStatsFlushed',
      { groups: [null], counts: [2], ids: [777, 777], requests: [1, 1], successes: [1, 1] },
      { shard: 1 },
    )
    const second = log.append('UnknownKeysAdopted', late())
    expect((await auditEvents(log)).found).toEqual([])
    edit(log, second, (payload) => payload.api_keys.requests[0]++)
    expect((await auditEvents(log)).found).toEqual([`adoption ${placeOf(second)}`])
  })

  test('that takes what a reversal has withdrawn', async () => {
    const { log } = books
    const changed = { ids: [8], names: ['ext:sk'], times: ['2026-01-31T12:00:00.000000+00:00'] }
    const api_keys = [{ id: 8, group_id: 1, name: null, external_id: 'sk' }]
    log.append('CatalogChanged', { upserted: { api_keys }, ended: {} }, { version: 2 })
    const second = log.append('UnknownKeysAdopted', { ...late(changed), heads: [9, 3] })
    const { found, all } = await auditEvents(log)
    expect(found).toEqual([`adoption ${placeOf(second)}`])
    expect(all[0]!.message).toBe('it took 2 requests of ext:sk, but had 0 to take')
  })

  test('outside shard 0', async () => {
    const { log, adopted } = books
    log.append('UnknownKeysAdopted', JSON.parse(adopted.payload), { shard: 1 })
    expect((await auditEvents(log)).found).toEqual(['adoption 1/4'])
  })
})

test('a flush with a time of its own is taken, and taken back, where usage counts it', async () => {
  const { log, reverse } = books
  const countedAt = '2026-01-30T23:59:59.000000+00:00'
  const flush = {
    ...{ groups: [1, null], counts: [1, 1], ids: [7, 9], requests: [1, 2], successes: [1, 1] },
    counted_at: Date.parse(countedAt) / 1_000,
  }
  const timed = () =>
    log.append('ApiKeyStatsFlushed', JSON.parse(encodeApiKeyFlush(flush)), { shard: 1, version: 4 })
  const [reversed, adopted] = [timed(), timed()]
  const reversal = reverse(
    reversed,
    {
      at: countedAt,
      provider_groups: { ids: [1], requests: [1], successes: [1] },
      api_keys: { ids: [7], requests: [1], successes: [1] },
      unknown: { api_keys: { names: ['9'], requests: [2], successes: [1] } },
    },
    2,
  )
  const adoption = log.append('UnknownKeysAdopted', {
    ...{ heads: [reversal.position, adopted.position], until: adopted.recordedAt },
    api_keys: {
      ...{ ids: [9], groups: [0], names: ['9'], times: ['2026-01-30T23:45:00.000000+00:00'] },
      ...{ requests: [2], successes: [1], flushes: [1] },
    },
  })
  expect((await auditEvents(log)).found).toEqual([])
  edit(log, reversal, (payload) => (payload.at = reversed.recordedAt))
  edit(log, adoption, (payload) => (payload.api_keys.times[0] = '2026-01-31T12:00:00.000000+00:00'))
  expect((await auditEvents(log)).found).toEqual([
    `reversal ${placeOf(reversal)}`,
    `adoption ${placeOf(adoption)}`,
  ])
})

describe('a reversal of a flush with dimensions and measures', () => {
  const combinations = ['{"model":"a"}', '{}']
  const measures = { 3: [12, 0] }
  const detailed = {
    combinations,
    provider_groups: {
      ...{ ids: [1, 1], requests: [3, 4], successes: [3, 4], combination: [0, 1], measures },
    },
    api_keys: {
      ...{ ids: [8, 7, 7], requests: [1, 2, 4], successes: [1, 2, 4], combination: [0, 0, 1] },
      measures: { 3: [7, 5, 0] },
    },
  }

  function reverseDetailed() {
    const payload = encodeApiKeyFlush({
      ...{ groups: [1], counts: [3], ids: [7, 7, 8], requests: [2, 4, 1], successes: [2, 4, 1] },
      details: {
        dimensions: ['model'],
        ...{ combinations: [['a'], [null]], counted: [['a'], [null]], combination: [0, 1, 0] },
        measures: [{ name: 'tokens', number: 3, values: [5, 0, 7] }],
      },
    })
    const options = { shard: 1, version: 5 }
    const event = books.log.append('ApiKeyStatsFlushed', JSON.parse(payload), options)
    return books.reverse(event, detailed, 3)
  }

  test('has the same', async () => {
    reverseDetailed()
    expect((await auditEvents(books.log)).found).toEqual([])
  })

  const changes: [string, Change][] = [
    ['another measure', (p) => (p.api_keys.measures[3] = [7, 6, 0])],
    ['a measure with another number', (p) => (p.api_keys.measures = { 4: [7, 5, 0] })],
    ['another combination', (p) => (p.combinations[0] = '{"model":"b"}')],
    ['a row with another combination', (p) => (p.api_keys.combination = [1, 0, 0])],
    ['a row without a combination', (p) => (p.provider_groups.combination = [0, null])],
  ]
  test.each(changes)('is reported if it has %s', async (_, change) => {
    const reversal = reverseDetailed()
    edit(books.log, reversal, change)
    expect((await auditEvents(books.log)).found).toEqual([`reversal ${placeOf(reversal)}`])
  })
})
