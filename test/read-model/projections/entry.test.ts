import { expect, test } from 'bun:test'
import type { AccountKind } from '../../../src/events/accounts.ts'
import { attributeApiKeyFlush } from '../../../src/events/api-key-flush.ts'
import type { Event } from '../../../src/events/event.ts'
import { attributeKeyFlush } from '../../../src/events/key-flush.ts'
import { cutPostings, type Postings } from '../../../src/events/postings.ts'
import { createTotals } from '../../../src/read-model/projections/create-totals.ts'
import { contentOf } from '../../../src/read-model/projections/entry.ts'

const RECORDED_AT = '2026-01-31T12:00:00.000000+00:00'

const EVENTS = [0, 1, 2, 7, 8, 9, 25].flatMap((length): Event[] => {
  const column = Array.from({ length }, (_, i) => i + 1)
  const entries = { ids: column, requests: column, successes: column.map((n) => n % 2) }
  const ofKeys = { hashes: column.map(String), requests: column, tokens: column }
  return [
    {
      type: 'ApiKeyStatsFlushed',
      data: attributeApiKeyFlush(entries, (id) => (id % 3 === 0 ? null : id % 5)),
    },
    {
      type: 'KeyStatsFlushed',
      data: attributeKeyFlush({ ...ofKeys, last_accessed_at: column }, (hash) =>
        hash === '4' ? null : hash === '2',
      ),
    },
  ]
})

const totalsOf = (kind: AccountKind, all: Iterable<Postings>) => {
  const totals = createTotals(kind)
  for (const postings of all) if (postings.kind === kind) totals.add(postings)
  return [...totals.slices()].flat()
}

test.each(['provider_group', 'api_key', 'key'] as const)(
  'the parts of an event add up to the whole, for each %s',
  (kind) => {
    for (const event of EVENTS) {
      const { postings } = contentOf(event, RECORDED_AT)
      const whole = totalsOf(kind, postings)
      for (const size of [1, 3, 8, 100]) {
        const parts = [...cutPostings(postings, size)]
        expect(parts.every(({ start, end }) => end - start <= size)).toBe(true)
        expect(totalsOf(kind, parts)).toEqual(whole)
      }
    }
  },
)
