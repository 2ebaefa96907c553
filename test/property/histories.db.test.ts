import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { recount } from '../proofs/integrity/sql-reader/recount.ts'
import { auditService } from '../proofs/verifier/audited.ts'
import { useService } from '../support/service.ts'
import { parametersOf, runsOf, timeoutOf } from './runs.ts'
import { Session } from './session.ts'
import { history } from './steps.ts'

// Each of 14 faults planted in the service was found by the 34th history, with three seeds.
const runs = runsOf(35)

const service = useService()
let run = 0

test(
  `every answer and every total equals the model's, in ${runs} histories`,
  async () => {
    const property = fc.asyncProperty(history, async (steps) => {
      // Shrinking repeats a history: each attempt has ids that no earlier one had.
      const session = await Session.begin(service, ++run)
      for (const step of steps) await session.take(step)
      await session.compareTotals()
    })
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs),
)

test('an audit of these histories finds nothing, and compares every act', async () => {
  const { findings, report } = await auditService(service)
  expect(findings).toEqual([])
  const [row] = await service.database.owner<{ acts: number }[]>`
    select count(*)::integer as acts
    from events e
    where e.type in ('EventReversed', 'UnknownKeysAdopted', 'QuotaReset')`
  expect(report).toMatchObject({ acts: row!.acts, missedActs: 0 })
  expect(row!.acts).toBeGreaterThan(0)
  const measured = await service.database.owner`
    select from events e where e.payload->'measures' is not null limit 1`
  expect(measured.length).toBe(1)
})

test('plain SQL adds up the same totals, usage and unknown keys', async () => {
  // These reads wait until everything is folded.
  await service.read('/admin/usage')
  await service.read('/admin/apikey-stats/summary')
  const { recounted, projected, unreadable } = await recount(service.database.address)
  expect([recounted, unreadable]).toEqual([projected, 0])
  for (const rows of Object.values(recounted)) expect(rows.length).toBeGreaterThan(0)
})
