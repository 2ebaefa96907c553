import { expect, test } from 'bun:test'
import pino from 'pino'
import type { Principal } from '../../src/auth/roles.ts'
import { Tokens } from '../../src/auth/tokens.ts'
import { LivePositions } from '../../src/http/live/positions.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { TOKENS } from '../support/service.ts'

// How often the log is looked at for those who want to know where it stands.

const AUDITOR: Principal = { name: 'auditor', role: 'auditor' }
/** Milliseconds between two looks. */
const POLL_INTERVAL_MS = 10

/** Returns when a look would have begun that has no reason to, were it many times as slow. */
const looksLater = () => Bun.sleep(10 * POLL_INTERVAL_MS)

/** Looks that the test answers itself, in the order in which they began. */
function openLive() {
  const looks: PromiseWithResolvers<number[]>[] = []
  let onLook = () => {}
  const live = new LivePositions({
    readHeads: () => {
      const look = Promise.withResolvers<number[]>()
      looks.push(look)
      onLook()
      return look.promise
    },
    tokens: new Tokens(TOKENS),
    findOpenSessions: async () => new Set(),
    intervals: { ...TEST_INTERVALS.streams, pollIntervalMs: POLL_INTERVAL_MS },
    logger: pino({ level: 'silent' }),
    maxSubscribers: 30,
  })
  /** The n-th look, once it has begun. */
  const lookAt = async (n: number) => {
    while (looks.length < n) {
      await new Promise<void>((resolve) => {
        onLook = resolve
      })
    }
    return looks[n - 1]!
  }
  return { live, looks, lookAt }
}

const textOf = async (reader: { read(): Promise<{ value?: Uint8Array | undefined }> }) =>
  new TextDecoder().decode((await reader.read()).value)

test('the log is looked at once for all who want to know', async () => {
  const { live, looks, lookAt } = openLive()
  const readers = Array.from({ length: 20 }, () => live.open(AUDITOR).getReader())
  ;(await lookAt(1)).resolve([41, 7])
  for (const reader of readers) {
    expect(await textOf(reader)).toBe('retry: 1000\n\ndata: 0/41,1/7\n\n')
  }
  expect(looks).toHaveLength(1)
  live.stop()
})

test('one look begins after the other has ended, and none when everybody has left', async () => {
  const { live, looks, lookAt } = openLive()
  const reader = live.open(AUDITOR).getReader()
  const first = await lookAt(1)
  await looksLater()
  expect(looks).toHaveLength(1)
  first.resolve([1])
  const second = await lookAt(2)
  await reader.cancel()
  second.resolve([2])
  await looksLater()
  expect(looks).toHaveLength(2)
  // Who comes then is told what is true then, not what was.
  const late = live.open(AUDITOR).getReader()
  ;(await lookAt(3)).resolve([3])
  expect(await textOf(late)).toBe('retry: 1000\n\ndata: 0/3\n\n')
  live.stop()
})

test('who is slow is told where the log stands, and not where it stood meanwhile', async () => {
  const { live, lookAt } = openLive()
  const slow = live.open(AUDITOR).getReader()
  for (const n of [1, 2]) {
    const look = await lookAt(n)
    look.resolve([n])
  }
  await lookAt(3)
  expect(await textOf(slow)).toBe('retry: 1000\n\ndata: 0/2\n\n')
  live.stop()
})

test('what has not moved is not told again', async () => {
  const { live, lookAt } = openLive()
  const reader = live.open(AUDITOR).getReader()
  ;(await lookAt(1)).resolve([5])
  await reader.read()
  const next = textOf(reader)
  ;(await lookAt(2)).resolve([5])
  ;(await lookAt(3)).resolve([6])
  expect(await next).toBe('data: 0/6\n\n')
  live.stop()
})
