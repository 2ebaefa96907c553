import { expect, test } from 'bun:test'
import { periodAt } from '../../src/quota/periods.ts'
import { startBarrier } from '../support/barrier.ts'
import { positionOf } from '../support/events.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'

// A reset takes away all that was recorded until its moment, and nothing of what comes after it,
// whatever happens at the same time and whatever clocks say.

const service = useService()

const flush = async (token_hash: string, tokens: number) =>
  positionOf(
    await service.post('/internal/stats/flush', { keys: [{ token_hash, requests: 1, tokens }] }),
  )
const reset = (hash: string, on: TestService = service) =>
  on.act(`/admin/keys/${hash}/quota-reset`, { reason: 'new contract' })
const correct = (body: object) =>
  service.act('/admin/corrections', { reason: 'posted twice', ...body })
const open = (token_hash: string, quota_used: number, as_of = '2020-01-01T00:00:00Z') =>
  service.act('/admin/balances', {
    ...{ as_of, origin: { system: 'old' } },
    keys: [{ token_hash, request_count: 1, used_tokens: quota_used, quota_used }],
  })
const used = async (hash: string) => {
  const row = await service.read<{ used_tokens: number; quota_used: number }>(`/admin/keys/${hash}`)
  return [row.used_tokens, row.quota_used]
}
const put = (token_hash: string, quota_period: string) =>
  service.putCatalog({ keys: [{ token_hash, quota_limit: 1_000, quota_period }] })

test.each(['none', 'day'])(
  'an act while a reset of period %s is decided counts once',
  async (of) => {
    const key = `act-${of}`
    await put(key, of)
    await flush(key, 5)
    const barrier = await startBarrier(service.database.address, 'position_at(')
    const other = await startTestService({ database: service.database, address: barrier.address })
    // It has its moment, and not yet the positions until then.
    const resetting = reset(key, other)
    await barrier.reached
    await open(key, 20)
    // Now the projections have it, too.
    expect(await used(key)).toEqual([25, of === 'none' ? 25 : 5])
    barrier.release()
    await resetting
    // It came after the opening, and took that away as well.
    expect(await used(key)).toEqual([25, 0])
    await flush(key, 3)
    expect(await used(key)).toEqual([28, 3])
    await other.stop()
    await barrier.close()
  },
)

test.each(['none', 'day'])(
  'after the clock was set back, a reset of period %s is one',
  async (of) => {
    const key = `ahead-${of}`
    await put(key, of)
    await flush(key, 1)
    // Until the clock is there, events are recorded at this time: those of one shard, then of all.
    for (const [i, shards] of ['s.shard = 0', 'true'].entries()) {
      await service.database.owner`
      update shards s
      set not_before = clock_timestamp() + ${i + 1}::integer * interval '1 hour'
      where ${service.database.owner.unsafe(shards)}`
      await correct({
        adjust: { keys: [{ token_hash: key, request_count: 0, used_tokens: 0, quota_used: 2 }] },
      })
      const before = await flush(key, 4)
      await reset(key)
      expect((await used(key))[1]).toBe(0)
      const after = await flush(key, 8)
      expect((await used(key))[1]).toBe(8)
      // The first was recorded in the very microsecond of the reset, and is taken away once.
      await correct({ reverse: before })
      expect((await used(key))[1]).toBe(8)
      await correct({ reverse: after })
      expect((await used(key))[1]).toBe(0)
    }
  },
)

test('after a reset, opening balances count from the first quarter hour of the period on', async () => {
  const startMs = Date.parse(periodAt('month', 'UTC', Date.now()).start)
  for (const [i, [asOfMs, counted]] of [
    [startMs, 0],
    [startMs + 1, 20],
  ].entries()) {
    const key = `start-${i}`
    await put(key, 'month')
    await flush(key, 5)
    await reset(key)
    await open(key, 20, new Date(asOfMs!).toISOString())
    expect(await used(key)).toEqual([25, counted!])
  }
})
