import { expect, test } from 'bun:test'
import { insertEventAt } from '../support/events.ts'
import { useService } from '../support/service.ts'

// The refusal of a read that cannot be answered yet states what is missing and when to retry, and
// not that the database is unavailable.

const service = useService({ shards: 1 })

const READS = [
  '/admin/apikey-stats/summary?as_of_position=',
  '/admin/provider-groups?as_of_position=',
  '/admin/api-keys/7?as_of_position=',
  '/admin/keys?as_of_position=',
  '/audit/explain?api_key_id=7&as_of_position=',
]

async function refusals(position: string) {
  return await Promise.all(
    READS.map(async (read) => {
      const response = await service.fetch('admin', `${read}${position}`)
      const { error, detail } = (await response.json()) as { error: string; detail: string }
      return { status: response.status, error, detail, after: response.headers.get('retry-after') }
    }),
  )
}

test('a read of the past beyond the snapshots gets 503 snapshots behind', async () => {
  // As after an import: a read would have to fold all of 600,001 events.
  const { owner } = service.database
  await owner`
    select create_segment(0, g.end, 524288)
    from (select max(g.end_position) as end from segments g) g
    where g.end <= 600000`
  await insertEventAt(owner, 0, 600_000)
  for (const refusal of await refusals('0/600000')) {
    expect(refusal).toMatchObject({ status: 503, error: 'snapshots behind', after: '6' })
    expect(refusal.detail).toContain('100001 events')
  }
})

test('a read of the past during a rebuild gets 503 projection rebuilding', async () => {
  const { owner } = service.database
  const versions = await owner<{ version: number }[]>`
    update projections set version = version - 1 where projection = 'snapshots'
    returning version`
  for (const refusal of await refusals('0/600000')) {
    expect(refusal).toMatchObject({ status: 503, error: 'projection rebuilding', after: '10' })
    expect(refusal.detail).toContain('snapshots')
  }
  await owner`
    update projections set version = ${versions[0]!.version + 1} where projection = 'snapshots'`
})
