import { expect, test } from 'bun:test'
import { Problem } from '../../src/http/problem.ts'
import { Shares, type SharesOptions } from '../../src/http/shares.ts'
import { TemporarilyUnavailable } from '../../src/platform/postgres/errors.ts'
import { until } from '../support/until.ts'

const makeShares = (options: Partial<SharesOptions> = {}) =>
  new Shares({
    each: 2,
    all: 3,
    minCooldownMs: 0,
    waitMs: 60_000,
    needsCooldown: () => true,
    ...options,
  })

/** Creates work that lasts until `end`; `begun` lists the names of what has begun. */
function makeWork() {
  const begun: string[] = []
  const ends = new Map<string, (error?: Error) => void>()
  const start = (name: string) => () => {
    begun.push(name)
    return new Promise<string>((resolve, reject) => {
      ends.set(name, (error) => (error ? reject(error) : resolve(name)))
    })
  }
  return { begun, start, end: (name: string, error?: Error) => ends.get(name)!(error) }
}

const request = (signal: AbortSignal) => new Request('http://localhost/', { signal })

test('the requests in work are limited per caller and in total', async () => {
  const shares = makeShares()
  const { begun, start, end } = makeWork()
  const all = [...['a1', 'a2', 'a3', 'b1', 'b2'].map((name) => shares.take(name[0]!, start(name)))]
  await until(() => begun.length === 3)
  expect(begun).toEqual(['a1', 'a2', 'b1'])
  for (const name of ['a1', 'a2', 'b1']) end(name)
  await until(() => begun.length === 5)
  for (const name of ['a3', 'b2']) end(name)
  expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2'])
})

test('callers take turns, and the requests of each stay in order', async () => {
  // Without cooldowns, which are as long as the work was: here that is what the machine makes of it.
  const shares = makeShares({ each: 1, all: 1, needsCooldown: () => false })
  const { begun, start, end } = makeWork()
  const names = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']
  const all = names.map((name) => shares.take(name[0]!, start(name)))
  for (let i = 0; i < names.length; i++) {
    await until(() => begun.length > i)
    end(begun[i]!)
  }
  await Promise.all(all)
  expect(begun).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
})

test('a caller whose own places stay taken gets 429; if those of all do it gets busy', async () => {
  const shares = makeShares({ waitMs: 20 })
  const { start, end } = makeWork()
  const held = ['a1', 'a2', 'b1'].map((name) => shares.take(name[0]!, start(name)))
  const refusals = await Promise.allSettled([
    shares.take('a', start('a3')),
    shares.take('b', start('b2')),
    shares.take('c', start('c1')),
  ])
  const reasons = refusals.map((one) => (one as PromiseRejectedResult).reason as Error)
  expect(reasons[0]).toMatchObject({
    ...{ status: 429, error: 'too many requests', headers: { 'retry-after': '2' } },
  })
  for (const reason of reasons.slice(1)) {
    expect(reason).toBeInstanceOf(TemporarilyUnavailable)
    expect(reason).toMatchObject({ message: 'busy', seconds: 2 })
  }
  for (const name of ['a1', 'a2', 'b1']) end(name)
  await Promise.all(held)
})

test('work that fails releases its place, whether it rejects or throws', async () => {
  const shares = makeShares({ each: 1, all: 1 })
  const { start, end } = makeWork()
  const failed = shares.take('a', start('a1'))
  end('a1', new Error('no'))
  await expect(failed).rejects.toThrow('no')
  const thrown = shares.take('a', () => {
    throw new Error('at once')
  })
  await expect(thrown).rejects.toThrow('at once')
  expect(await shares.take('b', () => 'b')).toBe('b')
  expect(await shares.take('a', async () => 'a')).toBe('a')
})

test('a waiting request whose client disconnects is dropped and delays no other', async () => {
  const shares = makeShares({ each: 1, all: 1 })
  const { begun, start, end } = makeWork()
  const first = shares.take('a', start('a1'))
  const going = new AbortController()
  const gone = shares.take('a', start('a2'), { request: request(going.signal) })
  const early = shares.take('a', start('a3'), { request: request(AbortSignal.abort()) })
  const next = shares.take('a', start('a4'), { request: request(new AbortController().signal) })
  going.abort()
  for (const one of await Promise.allSettled([gone, early])) {
    const { reason } = one as PromiseRejectedResult
    expect(reason).toBeInstanceOf(Problem)
    expect(reason).toMatchObject({ status: 400, error: 'aborted' })
  }
  end('a1')
  await first
  await until(() => begun.length === 2)
  end('a4')
  await next
  expect(begun).toEqual(['a1', 'a4'])
})

test('a place is free at once if its work delays no one', async () => {
  let needsCooldown = false
  const cooldown = { minCooldownMs: 500, needsCooldown: () => needsCooldown }
  const shares = makeShares({ each: 1, all: 1, waitMs: 20, ...cooldown })
  for (let i = 0; i < 3; i++) expect(await shares.take('a', () => i)).toBe(i)
  needsCooldown = true
  await shares.take('a', () => {})
  await expect(shares.take('a', () => {})).rejects.toMatchObject({ status: 429 })
})

test('a place cools down for as long as its work took', async () => {
  const shares = makeShares({ each: 1, all: 1 })
  const started = performance.now()
  let worked = 0
  await shares.take('a', async () => {
    await Bun.sleep(30)
    worked = performance.now() - started
  })
  await shares.take('a', () => {})
  // Timers may fire a millisecond early.
  expect(performance.now() - started).toBeGreaterThan(2 * worked - 2)
})
