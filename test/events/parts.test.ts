import { expect, test } from 'bun:test'
import { resolveApiKeyFlush } from '../../src/events/api-key-flush.ts'
import type { Event } from '../../src/events/event.ts'
import { resolveKeyFlush } from '../../src/events/key-flush.ts'
import { countEntries, cutEvent } from '../../src/events/parts.ts'
import { toRows } from '../../src/events/rows.ts'

const numbers = (length: number) => Array.from({ length }, (_, i) => i + 1)

const EVENTS = [0, 1, 2, 7, 8, 9, 25].flatMap((length): Event[] => {
  const column = numbers(length)
  const entries = { ids: column, requests: column, successes: column.map((n) => n % 2) }
  const ofKeys = { hashes: column.map(String), requests: column, tokens: column }
  return [
    {
      type: 'ApiKeyStatsFlushed',
      flush: resolveApiKeyFlush(entries, (id) => (id % 3 === 0 ? null : id % 5)),
    },
    {
      type: 'KeyStatsFlushed',
      flush: resolveKeyFlush({ ...ofKeys, last_accessed_at: column }, (hash) => hash === '2'),
    },
  ]
})

test('the parts of an event have its entries in its order, as many at a time as they may', () => {
  for (const event of EVENTS) {
    for (const most of [1, 3, 8, 100]) {
      const parts: Event[] = []
      const cut = cutEvent(event, most)
      for (let part = cut.next().value; part; part = cut.next().value) parts.push(part)
      expect(parts.flatMap((part) => toRows(part)!)).toEqual(toRows(event)!)
      expect(parts).toHaveLength(Math.ceil(countEntries(event) / most))
    }
  }
})
