import { beforeEach, describe, expect, test } from 'bun:test'
import { encodeApiKeyFlush } from '../../../src/events/api-key-flush-payload.ts'
import type { LineEvent } from '../../../src/events/event-line.ts'
import { auditEvents, edit, type Payload } from './books.ts'
import { MemoryLog } from './memory.ts'

// Adoptions and reversals of entries with dimensions and measures for keys that were unknown, in a
// log whose owner can change every event and sign it again.

let log: MemoryLog
let mixed: LineEvent
let adopted: LineEvent
let reversal: LineEvent

const combinations = ['{"model":"a"}', '{}']

beforeEach(() => {
  log = new MemoryLog(1)
  const group = { id: 1, name: null }
  const change = {
    upserted: { provider_groups: [group], api_keys: [{ id: 7, group_id: 1, name: null }] },
  }
  log.append('CatalogChanged', { ...change, ended: {} })
  const flush = (ids: number[], groups: (number | null)[], values: number[]) => {
    const payload = encodeApiKeyFlush({
      ...{ groups, counts: groups.length === 1 ? [ids.length] : [1, ids.length - 1], ids },
      ...{ requests: ids.map(() => 2), successes: ids.map(() => 1) },
      details: {
        dimensions: ['model'],
        ...{ combinations: [['a'], [null]], counted: [['a'], [null]] },
        combination: ids.map((_, i) => i % 2),
        measures: [{ name: 'tokens', number: 3, values }],
      },
    })
    return log.append('ApiKeyStatsFlushed', JSON.parse(payload), { version: 5 })
  }
  mixed = flush([7, 20], [1, null], [5, 6])
  const first = flush([20, 20], [null], [7, 0])
  log.append('CatalogChanged', {
    ...{ upserted: { api_keys: [{ id: 20, group_id: 1, name: null }] }, ended: {} },
  })
  reversal = log.append(
    'EventReversed',
    {
      ...{ reversed: `0/${mixed.position}`, type: mixed.type, at: mixed.recordedAt, reason: 'no' },
      combinations,
      provider_groups: {
        ...{ ids: [1], requests: [2], successes: [1], combination: [0], measures: { 3: [5] } },
      },
      api_keys: {
        ...{ ids: [7], requests: [2], successes: [1], combination: [0], measures: { 3: [5] } },
      },
      unknown: {
        api_keys: {
          ...{ names: ['20'], requests: [2], successes: [1], combination: [1] },
          measures: { 3: [6] },
        },
      },
    },
    { version: 3 },
  )
  const time = `${first.recordedAt.slice(0, 14)}00:00.000000+00:00`
  adopted = log.append(
    'UnknownKeysAdopted',
    {
      ...{ heads: [first.position + 1], until: first.recordedAt, combinations },
      api_keys: {
        ...{ ids: [20, 20], groups: [1, 1], names: ['20', '20'], times: [time, time] },
        ...{ requests: [2, 2], successes: [1, 1], flushes: [1, 0], combination: [0, 1] },
        measures: { 3: [7, 0] },
      },
    },
    { version: 2 },
  )
})

test('are as they were posted', async () => {
  const { found, report } = await auditEvents(log)
  expect(found).toEqual([])
  expect(report).toMatchObject({ acts: 2, missedActs: 0 })
})

describe('an adoption is reported', () => {
  test.each<[string, (payload: Payload) => unknown]>([
    ['with another measure', (p) => (p.api_keys.measures[3] = [8, 0])],
    ['with a measure of another row', (p) => (p.api_keys.measures[3] = [0, 7])],
    ['with another number of a measure', (p) => (p.api_keys.measures = { 4: [7, 0] })],
    ['without measures', (p) => (p.api_keys.measures = {})],
    ['with another combination', (p) => (p.combinations[0] = '{"model":"b"}')],
    ['with rows that change places', (p) => (p.api_keys.combination = [1, 0])],
    ['without a combination', (p) => (p.api_keys.combination = [0, null])],
  ])('%s', async (_, change) => {
    edit(log, adopted, change)
    expect((await auditEvents(log)).found).toEqual([`adoption 0/${adopted.position}`])
  })
})

describe('a reversal is reported that withdraws', () => {
  test.each<[string, (payload: Payload) => unknown]>([
    ['another measure', (p) => (p.unknown.api_keys.measures[3] = [7])],
    ['no measure', (p) => (p.unknown.api_keys.measures = {})],
    ['another combination', (p) => (p.unknown.api_keys.combination = [0])],
  ])('%s', async (_, change) => {
    edit(log, reversal, change)
    expect((await auditEvents(log)).found).toEqual([`reversal 0/${reversal.position}`])
  })
})
