import { expect, test } from 'bun:test'
import type { Principal } from '../../src/auth/roles.ts'
import { Tokens } from '../../src/auth/tokens.ts'
import { type StreamSource, Streams, type StreamsOptions } from '../../src/http/streams.ts'
import { TOKENS } from '../support/service.ts'

const AUDITOR: Principal = { name: 'auditor', role: 'auditor' }

function openStreams(options: Partial<StreamsOptions> = {}) {
  const failures: unknown[] = []
  const streams = new Streams({
    tokens: new Tokens(TOKENS),
    findOpenSessions: async (ids) => new Set(ids),
    maxStreams: 2,
    endedEarly: 'closed',
    intervals: { authIntervalMs: 10, keepAliveMs: 50 },
    onFailure: (error) => failures.push(error),
    ...options,
  })
  return { streams, failures }
}

/** Creates a source that returns these answers one after the other, then waits forever. */
function sourceOf(answers: (Uint8Array[] | null | Error)[]) {
  const source = {
    asked: 0,
    ended: 0,
    next: () => {
      source.asked++
      const answer = answers.shift()
      if (answer === undefined) return new Promise<null>(() => {})
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
    end: () => {
      source.ended++
    },
  } satisfies StreamSource & { asked: number; ended: number }
  return source
}

const bytes = (length: number, value: number) => new Uint8Array(length).fill(value)

test('bytes are sent in order and in chunks of 64 KiB, and read when needed', async () => {
  const large = bytes(150_000, 2)
  const source = sourceOf([[bytes(10, 1), large, bytes(10, 3), bytes(10, 4)], null])
  const reader = openStreams().streams.open(AUDITOR, source).getReader()
  expect(source.asked).toBe(0)
  const chunks: Uint8Array[] = []
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value)
  }
  expect(chunks.map(({ byteLength }) => byteLength)).toEqual([10, 65_536, 65_536, 18_948])
  expect([...new Set(Buffer.concat(chunks))]).toEqual([1, 2, 3, 4])
  // The bytes are not copied, because many streams may send them.
  expect(chunks[1]!.buffer).toBe(large.buffer)
  expect(source).toMatchObject({ asked: 2, ended: 1 })
})

test('a source that fails aborts its stream and is reported', async () => {
  const source = sourceOf([[bytes(1, 1)], new Error('lost')])
  const { streams, failures } = openStreams()
  const reader = streams.open(AUDITOR, source).getReader()
  await reader.read()
  const outcome = await reader.read().then(
    () => 'ended',
    () => 'broken off',
  )
  expect(outcome).toBe('broken off')
  expect(failures).toEqual([new Error('lost')])
  expect(source.ended).toBe(1)
})

test('a stop ends an idle stream cleanly, and aborts one that lags', async () => {
  const { streams } = openStreams()
  const waiting = streams.open(AUDITOR, sourceOf([])).getReader()
  const end = waiting.read()
  const lagging = streams.open(AUDITOR, sourceOf([[bytes(100_000, 1)]])).getReader()
  await lagging.read()
  streams.stop()
  expect((await end).done).toBe(true)
  expect(await lagging.read().catch(() => 'broken off')).toBe('broken off')
  expect(() => streams.open(AUDITOR, sourceOf([]))).toThrow('stopping')
})

test('a stop aborts a range even if it is idle', async () => {
  const { streams } = openStreams({ endedEarly: 'broken off' })
  const end = streams
    .open(AUDITOR, sourceOf([]))
    .getReader()
    .read()
    .catch(() => 'broken off')
  streams.stop()
  expect(await end).toBe('broken off')
})

test('a stream above the maximum is refused until another ends', async () => {
  const { streams } = openStreams()
  const sources = [sourceOf([]), sourceOf([])]
  const [first] = sources.map((source) => streams.open(AUDITOR, source))
  expect(() => streams.open(AUDITOR, sourceOf([]))).toThrow('too many streams')
  await first!.cancel()
  expect(sources[0]!.ended).toBe(1)
  const source = sourceOf([])
  streams.open(AUDITOR, source)
  streams.stop()
  expect([sources[1]!.ended, source.ended]).toEqual([1, 1])
})

test('a stream of a revoked token ends by itself', async () => {
  const { streams } = openStreams()
  const revoked = streams.open({ name: 'gone', role: 'auditor' }, sourceOf([])).getReader()
  const remaining = sourceOf([])
  streams.open(AUDITOR, remaining)
  expect((await revoked.read()).done).toBe(true)
  expect(remaining.ended).toBe(0)
  streams.stop()
})

/** Returns an auditor with a session that lasts `ms` milliseconds. */
const sessionOf = (idSha256: string, ms = 60_000) => ({
  ...{ ...AUDITOR, idSha256, expiresAt: new Date(Date.now() + ms).toISOString() },
})

test('a stream ends when its session expires, and not before', async () => {
  const { streams } = openStreams({ maxStreams: 3 })
  const [over, open] = [sourceOf([]), sourceOf([])]
  const remaining = streams.open(sessionOf('kept'), open).getReader()
  const ended = streams.open(sessionOf('over', -1), over).getReader()
  const next = remaining.read()
  expect(await ended.read()).toEqual({ done: true, value: undefined })
  expect([over.ended, open.ended]).toEqual([1, 0])
  streams.stop()
  expect((await next).done).toBe(true)
})

test('signing out ends only the streams of a session, which is looked up once', async () => {
  const asked: string[][] = []
  const { streams } = openStreams({
    maxStreams: 4,
    findOpenSessions: async (ids) => {
      asked.push(ids)
      return new Set(['kept'])
    },
  })
  const remaining = sourceOf([])
  streams.open(sessionOf('kept'), remaining)
  streams.open(AUDITOR, remaining)
  const out = [1, 2].map(() => streams.open(sessionOf('out'), sourceOf([])).getReader())
  const ends = await Promise.all(out.map((reader) => reader.read()))
  expect(ends.map(({ done }) => done)).toEqual([true, true])
  expect(asked).toEqual([['kept', 'out']])
  expect(remaining.ended).toBe(0)
  streams.stop()
})

test('a lookup of sessions that fails ends no stream and is retried', async () => {
  let lookups = 0
  const { streams, failures } = openStreams({
    findOpenSessions: async () => {
      if (++lookups === 1) throw new Error('unavailable')
      return new Set()
    },
  })
  const source = sourceOf([])
  const reader = streams.open(sessionOf('out'), source).getReader()
  expect((await reader.read()).done).toBe(true)
  expect(failures).toEqual([new Error('unavailable')])
  expect([lookups, source.ended]).toEqual([2, 1])
  streams.stop()
})

test('no session is looked up if no stream has one', async () => {
  let lookups = 0
  const { streams } = openStreams({
    findOpenSessions: async () => {
      lookups++
      return new Set()
    },
  })
  streams.open(AUDITOR, sourceOf([]))
  const revoked = streams.open({ name: 'gone', role: 'auditor' }, sourceOf([])).getReader()
  // It is ended by a check, which would look up sessions at its end.
  await revoked.read()
  expect(lookups).toBe(0)
  streams.stop()
})
