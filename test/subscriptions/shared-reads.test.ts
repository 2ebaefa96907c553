import { expect, test } from 'bun:test'
import { type TimedSource, takeNextByTime } from '../../src/events/merge-by-time.ts'
import { Semaphore } from '../../src/platform/async/semaphore.ts'
import { SingleFlight } from '../../src/platform/async/single-flight.ts'
import type { Line } from '../../src/subscriptions/event-line.ts'

const line = (shard: number, position: number, recordedAt: string): Line => ({
  shard,
  position,
  recordedAt,
  type: 'KeyStatsFlushed',
  source: 'dp',
  json: new Uint8Array(),
})

const sourceOf = (lines: Line[], end: 'read' | 'none' = 'none'): TimedSource<Line> => ({
  peek: () => lines[0] ?? end,
  take: () => {
    lines.shift()
  },
})

test('lines are merged by time, and those of a shard stay in order', () => {
  const sources = [
    sourceOf([line(0, 0, '1'), line(0, 1, '3'), line(0, 2, '3')]),
    sourceOf([line(1, 0, '2'), line(1, 1, '3')]),
    sourceOf([]),
  ]
  const taken: string[] = []
  for (
    let next = takeNextByTime(sources);
    typeof next !== 'string';
    next = takeNextByTime(sources)
  ) {
    taken.push(`${next.shard}/${next.position}`)
  }
  expect(taken).toEqual(['0/0', '1/0', '0/1', '0/2', '1/1'])
  expect(takeNextByTime(sources)).toBe('none')
})

test('no line is taken while a shard still has to be read', () => {
  const lines = [line(0, 0, '1')]
  expect(takeNextByTime([sourceOf(lines), sourceOf([], 'read')])).toBe('read')
  expect(lines).toHaveLength(1)
})

test('waiting callers share one read of the heads, which begins after their calls', async () => {
  const answers: ((positions: number[]) => void)[] = []
  const heads = new SingleFlight(() => new Promise((resolve) => answers.push(resolve)))
  const first = heads.read()
  const later = [heads.read(), heads.read(), heads.read()]
  expect(answers).toHaveLength(1)
  answers[0]!([1])
  expect(await first).toEqual([1])
  await Promise.resolve()
  expect(answers).toHaveLength(2)
  answers[1]!([2])
  expect(await Promise.all(later)).toEqual([[2], [2], [2]])
})

test('a failed read of the heads fails only the callers that waited for it', async () => {
  let reads = 0
  const heads = new SingleFlight(() => {
    reads++
    return reads === 1 ? Promise.reject(new Error('unavailable')) : Promise.resolve([reads])
  })
  const [first, second] = [heads.read(), heads.read()]
  await expect(first).rejects.toThrow('unavailable')
  expect(await second).toEqual([2])
  expect(await heads.read()).toEqual([3])
})

test('a semaphore bounds how many run at once and keeps their order despite failures', async () => {
  const semaphore = new Semaphore(2)
  const started: number[] = []
  const ends: (() => void)[] = []
  const work = [0, 1, 2, 3].map((i) =>
    semaphore.run(async () => {
      started.push(i)
      await new Promise<void>((resolve) => ends.push(resolve))
      if (i === 0) throw new Error('failed')
      return i
    }),
  )
  const failed = work[0]!.catch((error: Error) => error.message)
  expect(started).toEqual([0, 1])
  ends[0]!()
  expect(await failed).toBe('failed')
  expect(started).toEqual([0, 1, 2])
  ends[1]!()
  await work[1]
  expect(started).toEqual([0, 1, 2, 3])
  ends[2]!()
  ends[3]!()
  expect(await Promise.all(work.slice(1))).toEqual([1, 2, 3])
})
