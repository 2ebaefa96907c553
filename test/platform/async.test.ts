import { expect, test } from 'bun:test'
import { within, withinOr } from '../../src/platform/async/deadline.ts'
import { Poll } from '../../src/platform/async/poll.ts'
import { until } from '../support/until.ts'

const never = new Promise<never>(() => {})

test('within settles as its work does, or rejects once the time is over', async () => {
  expect(await within(60_000, Promise.resolve(1), () => new Error('late'))).toBe(1)
  const failed = Promise.reject(new Error('failed'))
  expect(within(60_000, failed, () => new Error('late'))).rejects.toThrow('failed')
  expect(within(1, never, () => new Error('late'))).rejects.toThrow('late')
})

test('withinOr returns the value of its work, or the other value once time is over', async () => {
  expect(await withinOr(60_000, Promise.resolve(1), 2)).toBe(1)
  expect(await withinOr(1, never, 2)).toBe(2)
})

test('a poll makes one call at a time, and none after it is stopped', async () => {
  let [running, maxRunning, calls] = [0, 0, 0]
  const poll = new Poll(async () => {
    maxRunning = Math.max(maxRunning, ++running)
    calls++
    await Bun.sleep(5)
    running--
  }, 1).start(0)
  await until(() => calls > 3)
  await poll.stop()
  expect([running, maxRunning]).toEqual([0, 1])
  const before = calls
  await Bun.sleep(20)
  expect(calls).toBe(before)
})

test('a call can return how long to wait before the next one', async () => {
  let calls = 0
  const poll = new Poll(async () => (++calls < 3 ? 0 : 60_000), 60_000).start(0)
  await until(() => calls === 3)
  await poll.stop()
})

test('a poll calls at once if asked to, shares a call under way, and schedules the next', async () => {
  let calls = 0
  const poll = new Poll(async () => {
    calls++
    await Bun.sleep(1)
    return 1
  }, 60_000)
  await Promise.all([poll.now(), poll.now()])
  expect(calls).toBe(1)
  await until(() => calls > 1)
  await poll.stop()
  const before = calls
  await poll.now()
  expect(calls).toBe(before)
})
