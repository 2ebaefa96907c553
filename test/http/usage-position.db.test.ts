import { expect, test } from 'bun:test'
import { parsePositions } from '../../src/events/positions.ts'
import { isFull } from '../support/full.ts'
import { useService } from '../support/service.ts'

/** Reads of each query, all of which meet flushes in progress. */
const READS = isFull ? 60 : 20

const service = useService()

type Body = { total: { total_requests?: number; request_count?: number } }

/** Milliseconds between two flushes of a poster. Each read takes longer. */
const PAUSE_MS = 5

/** Reads usage while flushes arrive. Returns the total and the positions of each answer. */
async function readWhileFlushing(query: string, reads: number) {
  let isOver = false
  const flushing = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      await service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 7, requests: 1 }] })
      await service.post('/internal/stats/flush', { keys: [{ token_hash: 'a', requests: 1 }] })
      await Bun.sleep(PAUSE_MS)
    }
  })
  const seen: { positions: number[]; shown: number }[] = []
  try {
    for (let i = 0; i < reads; i++) {
      // A group that was just added counts at once.
      const id = 100 + i
      await service.putCatalog({ provider_groups: [{ id }], api_keys: [{ id, group_id: id }] })
      await service.post('/internal/apikey-stats/flush', {
        keys: [{ api_key_id: id, requests: 1 }],
      })
      const response = await service.fetch('auditor', `/admin/usage${query}`)
      const { total } = (await response.json()) as Body
      const position = response.headers.get('tallybook-position')!
      const positions = parsePositions(position, service.shards) as number[]
      seen.push({ positions, shown: total.total_requests ?? total.request_count! })
    }
  } finally {
    isOver = true
    await Promise.all(flushing)
  }
  return seen
}

/** Returns the number of flushes of a type through these positions. */
async function countThrough(
  type: string,
  condition: string,
  positions: readonly number[],
): Promise<number> {
  const { owner } = service.database
  const rows = await owner<{ count: number }[]>`
    select count(*)::integer as count
    from events e
      join unnest(${positions as number[]}::bigint[]) with ordinality p(position, number)
        on e.shard = p.number - 1 and e.position <= p.position
    where e.type = ${type} and ${owner.unsafe(condition)}`
  return rows[0]!.count
}

test.each([
  ['', 'ApiKeyStatsFlushed', 'true'],
  ['?group_id=1', 'ApiKeyStatsFlushed', "payload::text like '%[7]%'"],
  ['?api_key_id=7', 'ApiKeyStatsFlushed', "payload::text like '%[7]%'"],
  ['?token_hash=a', 'KeyStatsFlushed', 'true'],
  ['?token_hash=a&consistency=eventual', 'KeyStatsFlushed', 'true'],
])(
  'usage%s is exact through its Tallybook-Position while flushes arrive',
  async (query, type, condition) => {
    await service.putCatalog({
      provider_groups: [{ id: 1 }],
      api_keys: [{ id: 7, group_id: 1 }],
      keys: [{ token_hash: 'a' }],
    })
    const seen = await readWhileFlushing(query, READS)
    for (const { positions, shown } of seen)
      expect([positions, shown]).toEqual([
        positions,
        await countThrough(type, condition, positions),
      ])
  },
)
