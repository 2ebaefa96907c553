import { expect, test } from 'bun:test'
import { FairLimiter, type FairLimiterOptions } from '../../src/http/fair-limiter.ts'
import { Problem } from '../../src/http/problem.ts'
import { TemporarilyUnavailable } from '../../src/platform/postgres/errors.ts'
import { until } from '../support/until.ts'

const makeLimiter = (options: Partial<FairLimiterOptions> = {}) =>
  new FairLimiter({
    perCaller: 2,
    total: 3,
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
  const limiter = makeLimiter()
  const { begun, start, end } = makeWork()
  const all = [...['a1', 'a2', 'a3', 'b1', 'b2'].map((name) => limiter.run(name[0]!, start(name)))]
  await until(() => begun.length === 3)
  expect(begun).toEqual(['a1', 'a2', 'b1'])
  for (const name of ['a1', 'a2', 'b1']) end(name)
  await until(() => begun.length === 5)
  for (const name of ['a3', 'b2']) end(name)
  expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2'])
})

test('callers take turns, and the requests of each stay in order', async () => {
  // Without cooldowns, which are as long as the work was: here that is what the machine makes of it.
  const limiter = makeLimiter({ perCaller: 1, total: 1, needsCooldown: () => false })
  const { begun, start, end } = makeWork()
  const names = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']
  const all = names.map((name) => limiter.run(name[0]!, start(name)))
  for (let i = 0; i < names.length; i++) {
    await until(() => begun.length > i)
    end(begun[i]!)
  }
  await Promise.all(all)
  expect(begun).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
})

test('a caller whose own slots stay taken gets 429; if those of all do it gets busy', async () => {
  const limiter = makeLimiter({ waitMs: 20 })
  const { start, end } = makeWork()
  const held = ['a1', 'a2', 'b1'].map((name) => limiter.run(name[0]!, start(name)))
  const refusals = await Promise.allSettled([
    limiter.run('a', start('a3')),
    limiter.run('b', start('b2')),
    limiter.run('c', start('c1')),
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

test('work that fails releases its slot, whether it rejects or throws', async () => {
  const limiter = makeLimiter({ perCaller: 1, total: 1 })
  const { start, end } = makeWork()
  const failed = limiter.run('a', start('a1'))
  end('a1', new Error('no'))
  await expect(failed).rejects.toThrow('no')
  const thrown = limiter.run('a', () => {
    throw new Error('at once')
  })
  await expect(thrown).rejects.toThrow('at once')
  expect(await limiter.run('b', () => 'b')).toBe('b')
  expect(await limiter.run('a', async () => 'a')).toBe('a')
})

test('a waiting request whose client disconnects is dropped and delays no other', async () => {
  const limiter = makeLimiter({ perCaller: 1, total: 1 })
  const { begun, start, end } = makeWork()
  const first = limiter.run('a', start('a1'))
  const going = new AbortController()
  const gone = limiter.run('a', start('a2'), { request: request(going.signal) })
  const early = limiter.run('a', start('a3'), { request: request(AbortSignal.abort()) })
  const next = limiter.run('a', start('a4'), { request: request(new AbortController().signal) })
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

test('a slot is free at once if its work delays no one', async () => {
  let needsCooldown = false
  const cooldown = { minCooldownMs: 500, needsCooldown: () => needsCooldown }
  const limiter = makeLimiter({ perCaller: 1, total: 1, waitMs: 20, ...cooldown })
  for (let i = 0; i < 3; i++) expect(await limiter.run('a', () => i)).toBe(i)
  needsCooldown = true
  await limiter.run('a', () => {})
  await expect(limiter.run('a', () => {})).rejects.toMatchObject({ status: 429 })
})

test('a slot cools down for as long as its work took', async () => {
  const limiter = makeLimiter({ perCaller: 1, total: 1 })
  let [started, ended] = [0, 0]
  await limiter.run('a', async () => {
    started = performance.now()
    await Bun.sleep(30)
    ended = performance.now()
  })
  await limiter.run('a', () => {})
  // Timers may fire a millisecond early.
  expect(performance.now() - ended).toBeGreaterThan(ended - started - 2)
})

test('when large work ends, all that waits and has a slot then begins', async () => {
  const limiter = makeLimiter({ perCaller: 4, total: 9, needsCooldown: () => false })
  const { begun, start, end } = makeWork()
  const large = limiter.run('a', start('large'), { slots: 6 })
  const small = ['a1', 'a2', 'a3', 'a4', 'a5'].map((name) => limiter.run('a', start(name)))
  expect(begun).toEqual(['large'])
  end('large')
  await large
  await until(() => begun.length === 5)
  expect(begun).toEqual(['large', 'a1', 'a2', 'a3', 'a4'])
  end('a1')
  await until(() => begun.length === 6)
  for (const name of ['a2', 'a3', 'a4', 'a5']) end(name)
  await Promise.all(small)
})
