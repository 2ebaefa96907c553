import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { parametersOf, runsOf, timeoutOf } from '../../property/runs.ts'
import { Session } from '../../property/session.ts'
import { history } from '../../property/steps.ts'
import { insertEvent } from '../../support/events.ts'
import { useService } from '../../support/service.ts'
import { settle, verify } from './history.ts'

const service = useService()

const runs = runsOf(3)

test(
  `no problem is reported in ${runs} histories, while they are written and afterwards`,
  async () => {
    let run = 0
    const property = fc.asyncProperty(history, async (steps) => {
      const session = await Session.begin(service, ++run)
      let isWritten = false
      const writing = (async () => {
        for (const step of steps) await session.take(step)
      })().finally(() => {
        isWritten = true
      })
      do {
        expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
      } while (!isWritten)
      await writing
    })
    await fc.assert(property, parametersOf(runs))
    await settle(service.database, service.shards)
    expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  },
  timeoutOf(runs) * 2,
)

test('verifications at the same time report no problem under load', async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }, { id: 2 }],
    keys: [{ token_hash: 'a', quota_limit: 5 }],
  })
  let isOver = false
  const post = async () => {
    while (!isOver) {
      const keys = [
        { api_key_id: 1, requests: 3, success_requests: 2 },
        { api_key_id: 2, requests: 1 },
      ]
      await service.post('/internal/apikey-stats/flush', { keys })
      await service.post('/internal/stats/flush', { keys: [{ token_hash: 'a', tokens: 1 }] })
    }
  }
  const posting = Array.from({ length: 2 }, post)
  try {
    // Inserted directly: an append may take its position first.
    await insertEvent(service.database.owner, { payload: '{}' }).catch(() => {})
    const reports = await Promise.all([1, 2, 3].map(() => verify(service.database)))
    for (const report of reports) expect(report).toMatchObject({ problems: 0, first: [] })
  } finally {
    isOver = true
    await Promise.all(posting)
  }
  await service.read('/admin/apikey-stats/summary')
  const report = await verify(service.database)
  expect(report).toMatchObject({ problems: 0, first: [] })
  expect(report.events).toBeGreaterThan(60)
})
