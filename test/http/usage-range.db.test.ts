import { beforeAll, expect, test } from 'bun:test'
import { insertEvent } from '../support/events.ts'
import { useService } from '../support/service.ts'

// A range of usage includes `from` and excludes `to`, in its items and in its total.

type Usage = { items: { total_requests: number }[]; total: { total_requests: number } }

const service = useService()

beforeAll(async () => {
  const counted = [
    ['2026-01-31T10:59:59.999999Z', 1],
    ['2026-01-31T11:00:00Z', 10],
    ['2026-01-31T11:59:59.999999Z', 100],
    ['2026-01-31T12:00:00Z', 1_000],
    ['2026-01-31T12:14:59Z', 10_000],
    ['2026-01-31T12:15:00Z', 100_000],
  ] as const
  for (const [recordedAt, requests] of counted) {
    const [one, all] = [[1], [requests]]
    await insertEvent(service.database.owner, {
      ...{ type: 'ApiKeyStatsFlushed', recordedAt },
      payload: JSON.stringify({
        ...{ groups: one, counts: one, ids: one, requests: all, successes: all },
      }),
    })
  }
  await service.putCatalog({ provider_groups: [{ id: 1 }] })
})

test.each([
  ['11:00', '12:00', [110]],
  ['11:00', '12:15', [110, 11_000]],
  ['12:00', '12:15', [11_000]],
  ['10:45', '12:30', [1, 110, 111_000]],
])('usage from %s to %s is exactly what was counted in that range', async (from, to, expected) => {
  const range = `from=2026-01-31T${from}:00Z&to=2026-01-31T${to}:00Z`
  for (const scope of ['', '&group_id=1', '&api_key_id=1']) {
    const { items, total } = await service.read<Usage>(`/admin/usage?${range}&bucket=hour${scope}`)
    expect(items.map((item) => item.total_requests)).toEqual(expected)
    expect(total.total_requests).toBe(expected.reduce((sum, requests) => sum + requests, 0))
  }
})
