import { expect, test } from 'bun:test'
import { toEventLine } from '../../../src/events/event-line.ts'
import type {
  EventSource,
  LogSource,
  ReshardedSource,
} from '../../../src/proofs/verifier/sources/source.ts'
import { auditEvents, makeBooks } from './books.ts'
import { MemoryLog } from './memory.ts'

// Acts name events that the walk has passed, or is yet to pass: they are read again at its end.

const reversalOf = (log: MemoryLog, position: number, requests: number, shard = 0) => ({
  reversed: `${shard}/${position}`,
  type: 'ApiKeyStatsFlushed',
  at: log.events[shard]![position]!.recordedAt,
  reason: 'posted twice',
  provider_groups: { ids: [1], requests: [requests], successes: [requests] },
  api_keys: { ids: [7], requests: [requests], successes: [requests] },
})

/** Makes a log of one shard with this many flushes; the flush at n has n + 1 requests. */
function makeLong(flushes: number): MemoryLog {
  const log = new MemoryLog()
  log.stepMs = 1_000
  for (let i = 0; i < flushes; i++) log.flush(7, i + 1)
  return log
}

/** Returns the source of a log's events, with other lines when they are read again. */
function sourceOf(log: MemoryLog, again: (lines: string[]) => string[] = (lines) => lines) {
  const lines = log.events.map((events) => events.map((event) => toEventLine(event)))
  const ranges: [number, number][] = []
  const readLines: EventSource['readLines'] = async function* (shard, from, to) {
    const isAgain = ranges.length >= log.shards
    ranges.push([from, to])
    yield* (isAgain ? again(lines[shard]!) : lines[shard]!).slice(from, to)
  }
  const { events, ...rest } = log.source()
  const source: LogSource = {
    ...rest,
    ...{ events: { ...events!, readLines }, pages: null, published: null },
  }
  return { source, ranges }
}

test('only the blocks of the named events are read again, near ones together', async () => {
  const log = makeLong(5_500)
  for (const named of [0, 700, 5_000, 5_499]) {
    log.append('EventReversed', reversalOf(log, named, named + 1))
  }
  const { source, ranges } = sourceOf(log)
  const { found, report } = await auditEvents(log, { source })
  expect([found, report.acts]).toEqual([[], 4])
  expect(ranges.slice(1)).toEqual([
    [0, 768],
    [4_864, 5_504],
  ])
})

test('a reversal is compared while the log is followed, whenever its event was walked', async () => {
  const log = makeLong(300)
  const { found, all, audit } = await auditEvents(log)
  log.append('EventReversed', reversalOf(log, 3, 4))
  log.append('EventReversed', reversalOf(log, 299, 300))
  expect((await audit.run()).acts).toBe(2)
  expect(found).toEqual([])
  log.append('EventReversed', reversalOf(log, 4, 99))
  log.append('EventReversed', reversalOf(log, 3, 4))
  expect((await audit.run()).acts).toBe(4)
  expect(all.map(({ kind, at }) => `${kind} ${at}`)).toEqual(['reversal 0/303', 'reversal 0/302'])
})

test('an adoption is compared while the log is followed', async () => {
  const { log, adopted } = makeBooks()
  const events = log.events[0]!.splice(adopted.position)
  const { audit, all } = await auditEvents(log)
  log.events[0]!.push(...events)
  expect((await audit.run()).acts).toBe(6)
  expect(all).toEqual([])
  log.append('UnknownKeysAdopted', JSON.parse(adopted.payload))
  expect((await audit.run()).acts).toBe(7)
  expect(all.map(({ kind, at }) => `${kind} ${at}`)).toEqual(['adoption 0/10'])
})

const line = (log: MemoryLog, position: number, requests: number) => {
  const event = log.events[0]![position]!
  const other = new MemoryLog()
  other.flush(7, requests)
  const { payload, payloadSha256 } = other.events[0]![0]!
  return toEventLine({ ...event, payload, payloadSha256 })
}

test.each([
  ['another event', (log: MemoryLog, lines: string[]) => lines.with(3, line(log, 3, 99))],
  ['fewer events', (_: MemoryLog, lines: string[]) => lines.slice(0, 3)],
  ['another order', (_: MemoryLog, lines: string[]) => lines.toSpliced(2, 2, lines[3]!, lines[2]!)],
  ['no event', (_: MemoryLog, lines: string[]) => lines.with(4, '{}')],
  [
    'another payload',
    (_: MemoryLog, lines: string[]) => lines.with(3, lines[3]!.replace('[4]', '[9]')),
  ],
])('a server that shows %s when it is asked again is found out', async (_, change) => {
  const log = makeLong(10)
  // The reversal is wrong, but right for what the server shows the second time.
  log.append('EventReversed', reversalOf(log, 3, 99))
  const { source } = sourceOf(log, (lines) => change(log, lines))
  const { found, report } = await auditEvents(log, { source })
  expect(found.filter((at) => at.startsWith('rewritten'))).toHaveLength(1)
  expect(report).toMatchObject({ acts: 0, missedActs: 1 })
})

test('acts are not compared if a shard could not be walked to its end', async () => {
  const { log } = makeBooks()
  log.tampered.head = (shard) => (shard === 1 ? log.head(1).replace('—', '-') : log.head(shard))
  const { found, report } = await auditEvents(log)
  expect(found).toEqual(['signature shard 1'])
  expect(report).toMatchObject({ acts: 0, missedActs: 6 })
})

test.each([
  ['reversals', 'UnknownKeysAdopted'],
  ['adoptions', 'EventReversed'],
])('a head that is behind what %s name is read again', async (_, other) => {
  const { log } = makeBooks()
  // Acts of the other kind are no longer acts.
  log.events[0] = log.events[0]!.map((event) =>
    event.type === other ? { ...event, type: 'OfTomorrow' } : event,
  )
  let reads = 0
  log.tampered.head = (shard) => log.head(shard, shard === 1 && reads++ === 0 ? 1 : undefined)
  const { all, report } = await auditEvents(log)
  expect(all.filter(({ message }) => /no such event|heads/.test(message))).toEqual([])
  expect([report.missedActs, reads]).toEqual([0, 2])
})

test('an adoption takes what was posted up to its heads, in the first event of a block too', async () => {
  const log = new MemoryLog()
  log.stepMs = 1
  const unknown = { groups: [null], counts: [1], ids: [9], requests: [2], successes: [1] }
  for (let i = 0; i < 257; i++) log.append('ApiKeyStatsFlushed', unknown)
  log.append('UnknownKeysAdopted', {
    ...{ heads: [256], until: log.events[0]!.at(-1)!.recordedAt },
    api_keys: {
      ...{ ids: [9], groups: [0], names: ['9'], times: ['2026-01-31T12:00:00.000000+00:00'] },
      ...{ requests: [514], successes: [257], flushes: [257] },
    },
  })
  expect((await auditEvents(log)).found).toEqual([])
})

test('a reversal of version 1 may leave entries of unknown keys before the first adoption', async () => {
  const log = new MemoryLog()
  const payload = { groups: [1, null], counts: [1, 1], ids: [7, 9], requests: [1, 2] }
  for (let i = 0; i < 2; i++) {
    log.append('ApiKeyStatsFlushed', { ...payload, successes: [1, 2] })
  }
  log.append('EventReversed', reversalOf(log, 0, 1))
  expect((await auditEvents(log)).found).toEqual([])
  log.append('UnknownKeysAdopted', {
    ...{ heads: [2], until: log.events[0]!.at(-1)!.recordedAt },
    api_keys: {
      ...{ ids: [9], groups: [0], names: ['9'], times: ['2026-01-31T12:00:00.000000+00:00'] },
      // What the reversed flush had posted is still there to take.
      ...{ requests: [4], successes: [4], flushes: [2] },
    },
  })
  expect((await auditEvents(log)).found).toEqual([])
  log.append('ApiKeyStatsFlushed', { ...payload, ids: [7, 8], successes: [1, 2] })
  log.append('EventReversed', reversalOf(log, 4, 1))
  expect((await auditEvents(log)).found).toEqual(['reversal 0/5'])
})

/** Makes a log that was resharded: a reversal and an adoption in it name places of another log. */
function makeResharded(list: [number, string][] | undefined, version = 2, until = '12:02') {
  const log = new MemoryLog()
  log.flush(7, 1)
  const unknown = { groups: [null], counts: [1], ids: [9], requests: [2], successes: [2] }
  log.append('ApiKeyStatsFlushed', unknown)
  log.append('EventReversed', { ...reversalOf(log, 0, 1), reversed: '5/99' })
  log.append('UnknownKeysAdopted', {
    ...{ heads: [7, 7, 7], until: `2026-01-31T${until}:00.000000+00:00` },
    api_keys: {
      ...{ ids: [9], groups: [0], names: ['9'], times: ['2026-01-31T12:00:00.000000+00:00'] },
      ...{ requests: [2], successes: [2], flushes: [1] },
    },
  })
  const archive = { manifest_sha256: '0a'.repeat(32), shards: 3, events: 4, left_out: 0 }
  const change = { shards: 1, archive, previous: [], ...(list && { reversals: list }) }
  log.append('ShardsChanged', change, { version })
  return log
}

test('acts from before the log was resharded are compared with where the events are now', async () => {
  const log = makeResharded([[2, '0/0']])
  const { found, report } = await auditEvents(log)
  expect([found, report.acts, report.missedActs]).toEqual([[], 2, 0])
  log.append('EventReversed', reversalOf(log, 0, 1))
  expect((await auditEvents(log)).found).toEqual(['reversal 0/5'])
  expect((await auditEvents(makeResharded([[2, '0/1']]))).found).toEqual(['reversal 0/2'])
  expect((await auditEvents(makeResharded([[2, '0/9']]))).found).toEqual(['reversal 0/2'])
  expect((await auditEvents(makeResharded([]))).found).toEqual(['reversal 0/2'])
  const before = makeResharded([[2, '0/0']], 2, '12:00')
  expect((await auditEvents(before)).found).toEqual(['adoption 0/3'])
})

test('a reversal whose event an old ShardsChanged does not list is counted as not compared', async () => {
  const { found, report } = await auditEvents(makeResharded(undefined, 1))
  expect([found, report.acts, report.missedActs]).toEqual([[], 1, 1])
})

test('an archive shows whether the list of reversed events is right', async () => {
  const { keys } = new MemoryLog()
  for (const [list, expected] of [
    [[2, '0/0'], []],
    [
      [2, '0/1'],
      ['archive shard 0', 'reversal 0/2'],
    ],
  ] as const) {
    const log = makeResharded([[...list]])
    const leaves = log.leaves().slice(0, -1)
    const leaf = (leafHash: Uint8Array) => ({ shard: 0, leafHash })
    const resharded: ReshardedSource = {
      shards: 3,
      readHead: async () => null,
      readResharded: async function* () {
        yield leaves.map((hash) => ({ from: leaf(hash), to: leaf(hash) }))
      },
      listReversals: () => [[2, '0/0']],
    }
    expect((await auditEvents(log, { keys, resharded })).found).toEqual([...expected])
  }
})
