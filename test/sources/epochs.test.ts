import { expect, test } from 'bun:test'
import { Epochs, MAX_EPOCHS } from '../../src/sources/epochs.ts'

// The epochs of a source are bounded.

const timeAt = (second: number) => `2026-01-31T12:00:${String(second).padStart(9, '0')}+00:00`

function epochsOf(arrivals: readonly [epoch: string, number: number][]): Epochs {
  const epochs = new Epochs(new Map(), false)
  for (const [i, [epoch, first]] of arrivals.entries()) {
    epochs.add({ epoch, first, last: first, isEnd: false }, timeAt(i))
  }
  return epochs
}

const many = Array.from({ length: MAX_EPOCHS }, (_, i): [string, number] => [`e${i}`, 0])

test('the one that was not heard of longest is dropped', () => {
  const { known, changed, dropped, hasDropped } = epochsOf([...many, ['e0', 2], ['new', 0]])
  expect([...dropped]).toEqual(['e1'])
  expect(hasDropped).toBe(true)
  expect(known.size).toBe(MAX_EPOCHS)
  expect(known.get('e0')?.missing).toEqual([[1, 1]])
  expect(changed).toEqual(new Set(known.keys()))
})

test('an epoch that comes back misses nothing of before, and no other does that begins then', () => {
  const { known, dropped } = epochsOf([...many, ['new', 3], ['e0', 7], ['e0', 9]])
  // It was there when nothing had been dropped.
  expect(known.get('new')?.missing).toEqual([[0, 2]])
  expect(known.get('e0')).toMatchObject({ next: 10, missing: [[8, 8]] })
  expect(dropped).toEqual(new Set(['e1']))
})

test('a flush that is folded late does not end its epoch', () => {
  const epochs = epochsOf([
    ['e', 0],
    ['e', 2],
  ])
  epochs.add({ epoch: 'e', first: 1, last: 1, isEnd: true }, timeAt(0))
  expect(epochs.known.get('e')).toMatchObject({ missing: [], isEnded: false, lastFlush: timeAt(1) })
})
