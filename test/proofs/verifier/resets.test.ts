import { beforeEach, describe, expect, test } from 'bun:test'
import { auditEvents, edit, makeBooks, type Payload, placeOf } from './books.ts'
import { MemoryLog } from './memory.ts'

// Quota resets in a log whose owner can change every event and sign it again. Each is compared with
// what had counted until it was decided.

let books: ReturnType<typeof makeBooks>
beforeEach(() => {
  books = makeBooks()
})

describe('a reset is reported', () => {
  const changes: [string, (payload: Payload) => unknown][] = [
    ['that took more', (p) => p.keys.quota_used[0]++],
    ['that took less', (p) => p.keys.quota_used[0]--],
    ['that took from another key', (p) => (p.keys.hashes = ['a'])],
    ['of an earlier time', (p) => (p.at = p.at.replace('13:20', '13:10'))],
    ['that covers less', (p) => (p.through = '0/3,1/3')],
    ['that covers another shard', (p) => (p.through = '0/4,1/3,2/-1')],
    ['that covers events after the end of the log', (p) => (p.through = '0/4,1/9')],
  ]
  test.each(changes)('%s', async (_, change) => {
    const { log, reset } = books
    edit(log, reset, change)
    const { found, report } = await auditEvents(log)
    expect(found).toContain(`reset ${placeOf(reset)}`)
    expect(report).toMatchObject({ acts: 6, missedActs: 0 })
  })

  test('outside shard 0', async () => {
    const { log, reset } = books
    log.append('QuotaReset', JSON.parse(reset.payload), { shard: 1 })
    expect((await auditEvents(log)).found).toEqual(['reset 1/4'])
  })

  /** Resets a key that has counted in both shards, and in events between decision and reset. */
  function resetBoth() {
    const log = new MemoryLog(2)
    const keys = [{ token_hash: 'a', quota_limit: 100, name: null }]
    log.append('CatalogChanged', { upserted: { keys }, ended: {} })
    for (const shard of [0, 1]) {
      log.flushKey('a', 5, shard)
      log.flushKey('b', 1, shard)
      log.flushKey('a', 3, shard)
    }
    const at = log.events[0]!.at(-1)!.recordedAt
    const last = log.flushKey('a', 4, 1)
    expect(last.recordedAt).toBe(at)
    // Whatever follows, in any shard, is recorded later.
    log.stepMs++
    for (let i = 0; i < 300; i++) log.flushKey('a', 7)
    const reset = log.append('QuotaReset', {
      ...{ at, through: '0/3,1/3', reason: 'new contract' },
      keys: { hashes: ['a'], requests: [0], tokens: [0], quota_used: [40] },
    })
    return { log, reset }
  }

  test('only for what had counted until it was decided, in all shards', async () => {
    const { log, reset } = resetBoth()
    log.flushKey('a', 9)
    for (let i = 0; i < 3; i++) log.flushKey('a', 11, 1)
    const { found, report } = await auditEvents(log)
    expect([found, report.acts]).toEqual([[], 1])
    edit(log, reset, (payload) => payload.keys.quota_used[0]++)
    expect((await auditEvents(log)).all).toEqual([
      {
        ...{ kind: 'reset', at: placeOf(reset) },
        message: expect.stringContaining('it took 41 away, but 40 had counted until'),
      },
    ])
  })

  test('also while the log is followed, whatever was walked when it came', async () => {
    const { log, reset } = resetBoth()
    for (let i = 0; i < 400; i++) log.flushKey('a', 11, 1)
    const events = log.events[0]!.splice(reset.position)
    const { all, audit } = await auditEvents(log)
    log.events[0]!.push(...events)
    expect((await audit.run()).acts).toBe(1)
    expect(all).toEqual([])
    // Of the events in shard 1, this is the time of the one at 304.
    const again = (quota: number) =>
      log.append('QuotaReset', {
        ...{ at: reset.recordedAt, through: '0/304,1/304', reason: 'again' },
        keys: { hashes: ['a'], requests: [0], tokens: [0], quota_used: [quota] },
      })
    again(300 * 14 + 301 * 22)
    expect((await audit.run()).acts).toBe(2)
    expect(all).toEqual([])
    const wrong = again(1)
    await audit.run()
    expect(all.map(({ kind, at }) => `${kind} ${at}`)).toEqual([`reset ${placeOf(wrong)}`])
  })
})
