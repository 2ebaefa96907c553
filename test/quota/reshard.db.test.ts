import { afterAll, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { endAll, reshard, start } from '../archive/resharding.ts'
import { positionOf } from '../support/events.ts'
import type { TestService } from '../support/service.ts'

// What a reset took away stays taken away, and what came after it can still be given back, however
// often a log is resharded.

afterAll(endAll)

type Row = { used_tokens: number; quota_used: number }
type Step = { shard: number; position: number; counted: { tokens: number } }

const flush = async (service: TestService, tokens: number) =>
  positionOf(
    await service.post('/internal/stats/flush', {
      keys: [{ token_hash: 'a', requests: 1, tokens }],
    }),
  )
const used = async (service: TestService) => {
  const row = await service.read<Row>('/admin/keys/a')
  return [row.used_tokens, row.quota_used]
}
const reset = (service: TestService) =>
  service.act('/admin/keys/a/quota-reset', { reason: 'new contract' })

/** Reverses the flush of this many tokens, wherever it is now. */
async function reverse(service: TestService, tokens: number): Promise<void> {
  const { items } = await service.read<{ items: Step[] }>('/audit/explain?token_hash=a&limit=1000')
  const { shard, position } = items.find(({ counted }) => counted.tokens === tokens)!
  await service.act('/admin/corrections', {
    ...{ reverse: `${shard}/${position}`, reason: 'posted twice' },
  })
}

async function expectIntact({ database }: TestService): Promise<void> {
  const signal = new AbortController().signal
  const { first } = await verifyDatabase(database.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
}

test.each(['none', 'day'])('with the period %s, from 2 to 3 to 1 shards', async (quota_period) => {
  const first = await start(`one-${quota_period}.example.com`, 2)
  await first.service.putCatalog({ keys: [{ token_hash: 'a', quota_limit: 9, quota_period }] })
  for (const tokens of [1, 2, 4, 8]) await flush(first.service, tokens)
  await reset(first.service)
  for (const tokens of [16, 32]) await flush(first.service, tokens)
  expect(await used(first.service)).toEqual([63, 48])

  const second = await start(
    `two-${quota_period}.example.com`,
    3,
    (await reshard(first, 3)).database,
  )
  expect(await used(second.service)).toEqual([63, 48])
  await reverse(second.service, 1)
  await reverse(second.service, 16)
  expect(await used(second.service)).toEqual([46, 32])
  await expectIntact(second.service)

  const third = await start(
    `three-${quota_period}.example.com`,
    1,
    (await reshard(second, 1)).database,
  )
  await reverse(third.service, 2)
  await reverse(third.service, 32)
  expect(await used(third.service)).toEqual([12, 0])
  await flush(third.service, 64)
  await reset(third.service)
  await reverse(third.service, 64)
  expect(await used(third.service)).toEqual([12, 0])
  await expectIntact(third.service)
})
