import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { IdSlots } from '../../src/events/id-slots.ts'

const id = fc.oneof(fc.nat(10), fc.constantFrom(2 ** 20 - 1, 2 ** 20, 2 ** 53))

test('ids are numbered in order of appearance, again from 0 in each round', () => {
  const slots = new IdSlots()
  const property = fc.property(fc.array(id), (ids) => {
    slots.begin()
    const seen: number[] = []
    for (const id of ids) {
      if (!seen.includes(id)) seen.push(id)
      expect(slots.slotOf(id)).toBe(seen.indexOf(id))
    }
    expect(slots.count).toBe(seen.length)
  })
  fc.assert(property, { numRuns: 500 })
})
