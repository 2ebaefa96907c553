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

/** Gives these answers one after the other, then waits for ever. */
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

test('parts are sent in order, in chunks of 64 KiB, and asked for when all was taken', async () => {
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
  // Not copied: it may be on its way to many.
  expect(chunks[1]!.buffer).toBe(large.buffer)
  expect(source).toMatchObject({ asked: 2, ended: 1 })
})

test('a source that fails breaks its stream off, and is told of', async () => {
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

test('when the service stops, who waits is ended cleanly, and who lags is broken off', async () => {
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

test('a range that waits when the service stops is broken off too', async () => {
  const { streams } = openStreams({ endedEarly: 'broken off' })
  const end = streams
    .open(AUDITOR, sourceOf([]))
    .getReader()
    .read()
    .catch(() => 'broken off')
  streams.stop()
  expect(await end).toBe('broken off')
})

test('above the bound no more are opened, until one ends', async () => {
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

test('a stream of a token that is not held ends by itself', async () => {
  const { streams } = openStreams()
  const revoked = streams.open({ name: 'gone', role: 'auditor' }, sourceOf([])).getReader()
  const kept = sourceOf([])
  streams.open(AUDITOR, kept)
  expect((await revoked.read()).done).toBe(true)
  expect(kept.ended).toBe(0)
  streams.stop()
})

/** An auditor who came by a session that lasts so long. */
const sessionOf = (idSha256: string, ms = 60_000) => ({
  ...{ ...AUDITOR, idSha256, expiresAt: new Date(Date.now() + ms).toISOString() },
})

test('a stream ends with the session that it was opened in, and not before', async () => {
  const { streams } = openStreams({ maxStreams: 3 })
  const [over, open] = [sourceOf([]), sourceOf([])]
  const kept = streams.open(sessionOf('kept'), open).getReader()
  const ended = streams.open(sessionOf('over', -1), over).getReader()
  const next = kept.read()
  expect(await ended.read()).toEqual({ done: true, value: undefined })
  expect([over.ended, open.ended]).toEqual([1, 0])
  streams.stop()
  expect((await next).done).toBe(true)
})

test('a stream ends when its session was signed out, and no other; each is asked for once', async () => {
  const asked: string[][] = []
  const { streams } = openStreams({
    maxStreams: 4,
    findOpenSessions: async (ids) => {
      asked.push(ids)
      return new Set(['kept'])
    },
  })
  const kept = sourceOf([])
  streams.open(sessionOf('kept'), kept)
  streams.open(AUDITOR, kept)
  const out = [1, 2].map(() => streams.open(sessionOf('out'), sourceOf([])).getReader())
  const ends = await Promise.all(out.map((reader) => reader.read()))
  expect(ends.map(({ done }) => done)).toEqual([true, true])
  expect(asked).toEqual([['kept', 'out']])
  expect(kept.ended).toBe(0)
  streams.stop()
})

test('where sessions can not be looked up no stream ends, and it is tried again', async () => {
  let looks = 0
  const { streams, failures } = openStreams({
    findOpenSessions: async () => {
      if (++looks === 1) throw new Error('away')
      return new Set()
    },
  })
  const source = sourceOf([])
  const reader = streams.open(sessionOf('out'), source).getReader()
  expect((await reader.read()).done).toBe(true)
  expect(failures).toEqual([new Error('away')])
  expect([looks, source.ended]).toEqual([2, 1])
  streams.stop()
})

test('while nobody came by a session, none is asked for', async () => {
  let looks = 0
  const { streams } = openStreams({
    findOpenSessions: async () => {
      looks++
      return new Set()
    },
  })
  streams.open(AUDITOR, sourceOf([]))
  const revoked = streams.open({ name: 'gone', role: 'auditor' }, sourceOf([])).getReader()
  // Ended in a look, which asks for sessions at its end.
  await revoked.read()
  expect(looks).toBe(0)
  streams.stop()
})
