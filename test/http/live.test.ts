import { expect, test } from 'bun:test'
import pino from 'pino'
import type { Principal } from '../../src/auth/roles.ts'
import { Tokens } from '../../src/auth/tokens.ts'
import { LivePositions } from '../../src/http/live/positions.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { TOKENS } from '../support/service.ts'

// How often the heads of the log are polled for live streams.

const AUDITOR: Principal = { name: 'auditor', role: 'auditor' }
/** Milliseconds between two polls. */
const POLL_INTERVAL_MS = 10

/** Waits until a poll that must not happen would have begun, even if it were ten times slower. */
const waitForStrayPoll = () => Bun.sleep(10 * POLL_INTERVAL_MS)

/** Opens streams whose polls the test answers, in the order in which they begin. */
function openLive() {
  const polls: PromiseWithResolvers<number[]>[] = []
  let onPoll = () => {}
  const live = new LivePositions({
    readHeads: () => {
      const poll = Promise.withResolvers<number[]>()
      polls.push(poll)
      onPoll()
      return poll.promise
    },
    tokens: new Tokens(TOKENS),
    findOpenSessions: async () => new Set(),
    intervals: { ...TEST_INTERVALS.streams, pollIntervalMs: POLL_INTERVAL_MS },
    logger: pino({ level: 'silent' }),
    maxSubscribers: 30,
  })
  /** Returns the n-th poll once it has begun. */
  const pollAt = async (n: number) => {
    while (polls.length < n) {
      await new Promise<void>((resolve) => {
        onPoll = resolve
      })
    }
    return polls[n - 1]!
  }
  return { live, polls, pollAt }
}

const textOf = async (reader: { read(): Promise<{ value?: Uint8Array | undefined }> }) =>
  new TextDecoder().decode((await reader.read()).value)

test('one poll serves all streams', async () => {
  const { live, polls, pollAt } = openLive()
  const readers = Array.from({ length: 20 }, () => live.open(AUDITOR).getReader())
  ;(await pollAt(1)).resolve([41, 7])
  for (const reader of readers) {
    expect(await textOf(reader)).toBe('retry: 1000\n\ndata: 0/41,1/7\n\n')
  }
  expect(polls).toHaveLength(1)
  live.stop()
})

test('a poll begins after the previous one has ended, and none without streams', async () => {
  const { live, polls, pollAt } = openLive()
  const reader = live.open(AUDITOR).getReader()
  const first = await pollAt(1)
  await waitForStrayPoll()
  expect(polls).toHaveLength(1)
  first.resolve([1])
  const second = await pollAt(2)
  await reader.cancel()
  second.resolve([2])
  await waitForStrayPoll()
  expect(polls).toHaveLength(2)
  // A stream that opens then gets new positions, not the old ones.
  const late = live.open(AUDITOR).getReader()
  ;(await pollAt(3)).resolve([3])
  expect(await textOf(late)).toBe('retry: 1000\n\ndata: 0/3\n\n')
  live.stop()
})

test('a slow client gets the newest positions and skips those between', async () => {
  const { live, pollAt } = openLive()
  const slow = live.open(AUDITOR).getReader()
  for (const n of [1, 2]) {
    const poll = await pollAt(n)
    poll.resolve([n])
  }
  await pollAt(3)
  expect(await textOf(slow)).toBe('retry: 1000\n\ndata: 0/2\n\n')
  live.stop()
})

test('unchanged positions are not sent again', async () => {
  const { live, pollAt } = openLive()
  const reader = live.open(AUDITOR).getReader()
  ;(await pollAt(1)).resolve([5])
  await reader.read()
  const next = textOf(reader)
  ;(await pollAt(2)).resolve([5])
  ;(await pollAt(3)).resolve([6])
  expect(await next).toBe('data: 0/6\n\n')
  live.stop()
})
