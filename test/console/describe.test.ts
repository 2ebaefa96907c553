import { expect, test } from 'bun:test'
import { describeEvent } from '../../src/console/page/log/describe.ts'

test.each([
  ['ApiKeyStatsFlushed', { ids: [1], requests: [1] }, '1 request of 1 API key'],
  ['ApiKeyStatsFlushed', { ids: [1, 2], requests: [500, 700] }, '1,200 requests of 2 API keys'],
  ['KeyStatsFlushed', { hashes: ['a'], requests: [0] }, '0 requests of 1 token key'],
  [
    'KeyStatsFlushed',
    { hashes: ['a', 'b'], requests: [9_007_199_254_740_993n, 2] },
    '9,007,199,254,740,995 requests of 2 token keys',
  ],
  [
    'ApiKeyStatsFlushed',
    {
      ...{ counts: [2, 2], ids: [10, 'AEAgEwk='], requests: [3, 'dhA='] },
      counted_at: 1_769_860_800,
    },
    '13 requests of 4 API keys, counted Jan 31, 12:00:00 PM',
  ],
  [
    'KeyStatsFlushed',
    { hashes: ['a', 'b'], requests: [2, 'kA=='], dimensions: [] },
    '3 requests of 2 token keys',
  ],
  ['CatalogChanged', { upserted: { api_keys: [{}, {}], keys: [{}] } }, '3 put'],
  ['CatalogChanged', { upserted: {}, ended: { keys: ['a'] } }, '1 ended'],
  [
    'CatalogChanged',
    { upserted: { api_keys: [{ external_id: 'sk-9f' }, {}] } },
    '2 put, external id sk-9f',
  ],
  [
    'CatalogChanged',
    {
      upserted: { api_keys: [{ external_id: 'sk-9f' }] },
      ended: { provider_groups: [{ external_id: 'gw' }] },
    },
    '1 put, 1 ended, 2 with external ids',
  ],
  ['CatalogChanged', { upserted: { keys: [{}] }, ended: { keys: ['a'] } }, '1 put, 1 ended'],
  [
    'CatalogChanged',
    {
      upserted: { keys: [{}], dimensions: [{ name: 'model' }] },
      ended: { dimensions: [{ name: 'status' }] },
    },
    '1 put, dimension model, dimension status ended',
  ],
  [
    'CatalogChanged',
    { upserted: { measures: [{ name: 'cost' }, { name: 'seconds' }] }, ended: { measures: 'a' } },
    'measures cost, seconds',
  ],
  [
    'BalancesOpened',
    { provider_groups: { ids: [1] }, api_keys: { ids: [7, 8] }, keys: { hashes: ['a'] } },
    'opening balances of 1 provider group, 2 API keys, 1 token key',
  ],
  ['BalancesOpened', { keys: { hashes: ['a', 'b'] } }, 'opening balances of 2 token keys'],
  ['TotalsAdjusted', { reason: 'counted by hand' }, 'adjustment: counted by hand'],
  ['EventReversed', { reversed: '0/41', reason: 'posted twice' }, 'reverses 0/41: posted twice'],
  [
    'UnknownKeysAdopted',
    {
      api_keys: { ids: [7, 7, 8], requests: [1, 2, 3] },
      keys: { hashes: ['a', 'a'], requests: [4, 5] },
    },
    'adopts 15 requests of 2 API keys, 1 token key',
  ],
  [
    'UnknownKeysAdopted',
    { keys: { hashes: ['a'], requests: [1] } },
    'adopts 1 request of 1 token key',
  ],
  ['ProjectionAttested', {}, 'digests and totals of the projections'],
  ['OfAnotherVersion', { whatever: 1 }, ''],
  // Rows that the database owner wrote by hand.
  ['KeyStatsFlushed', null, '0 requests of 0 token keys'],
  ['KeyStatsFlushed', { hashes: 'a', requests: [1.5, null, 'x'] }, '0 requests of 0 token keys'],
  ['KeyStatsFlushed', { hashes: ['a'], requests: [3, 'A'] }, '3 requests of 1 token key'],
  ['KeyStatsFlushed', { hashes: ['a'], requests: [9, ''] }, '0 requests of 1 token key'],
  ['BalancesOpened', { keys: null, api_keys: { ids: 7 } }, 'opening balances'],
  ['TotalsAdjusted', null, 'adjustment'],
  ['UnknownKeysAdopted', { api_keys: 1 }, 'adoption'],
  ['EventReversed', { reason: 1 }, 'reverses an event'],
])('%s %p is described as %p', (type, payload, text) => {
  expect(describeEvent(type, payload)).toBe(text)
})
