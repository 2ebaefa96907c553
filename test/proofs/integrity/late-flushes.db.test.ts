import { expect, test } from 'bun:test'
import { encodeApiKeyFlush } from '../../../src/events/api-key-flush-payload.ts'
import { decodeEvent } from '../../../src/events/event.ts'
import { inSnapshot } from '../../../src/platform/postgres/pool.ts'
import { UsageGroup } from '../../../src/proofs/integrity/groups/usage.ts'
import { insertEvents } from '../../support/events.ts'
import { useDatabase, usePools } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

// Many late flushes: an integrity check compares their rows on its way, block by block, and
// forgets them.

const EVENTS = 10_000
const RECORDED_AT = '2026-01-31T12:00:00.000000+00:00'
const HOUR = Date.parse('2026-01-31T08:00:00Z') / 1_000

const database = useDatabase({ shards: 1 })
const pools = usePools(database)

const payloads = Array.from({ length: EVENTS }, (_, i) =>
  encodeApiKeyFlush({
    ...{ groups: [1], counts: [1], ids: [1 + (i % 5)], requests: [1], successes: [1] },
    counted_at: HOUR + (i % 7_200),
  }),
)

test('rows of complete blocks are compared on the way, and the others at the end', async () => {
  const { owner } = database
  const place = { type: 'ApiKeyStatsFlushed', version: 4, recordedAt: RECORDED_AT }
  await insertEvents(owner, payloads, place)
  const service = await startTestService({ database, shards: 1 })
  await service.read('/admin/usage')
  await service.stop()
  const target = { shard: 0, generation: 1 }
  /** Returns the places of problems, by the position at which they were found. */
  const check = async () => {
    const group = new UsageGroup(40)
    const found: [number, string][] = []
    for (const [position, payload] of payloads.entries()) {
      group.add(decodeEvent('ApiKeyStatsFlushed', 4, payload), position, RECORDED_AT)
      if (position % 1_000 !== 999) continue
      const settled = await inSnapshot(pools.read, (transaction) =>
        group.compareSettled(transaction, new Map([['usage', target]]), position),
      )
      for (const { problems } of settled) for (const { at } of problems) found.push([position, at])
    }
    const rest = await inSnapshot(pools.read, (transaction) =>
      group.compare(transaction, 'usage', target),
    )
    return [...found, ...rest.map(({ at }): [number, string] => [EVENTS, at])]
  }
  expect(await check()).toEqual([])
  await owner`
    update api_key_backdated_usage set requests = requests + 1
    where api_key_id = 3 and quarter = '2026-01-31T08:15:00Z'`
  const row = (position: number) => `api_key_backdated_usage 0/3/2026-01-31 08:15:00+00/${position}`
  expect(await check()).toEqual([
    [4_999, row(4_095)],
    [8_999, row(8_191)],
    [EVENTS, row(12_287)],
  ])
  await owner`update checkpoints set has_backdated = false where projection = 'usage'`
  expect((await check()).at(-1)).toEqual([EVENTS, 'checkpoints 0/usage/1'])
})
