import { expect, test } from 'bun:test'
import { useService } from '../../support/service.ts'
import { auditService, untilSigned } from '../verifier/audited.ts'
import { settle, verify, writeHistory } from './history.ts'
import { recount } from './sql-reader/recount.ts'

const service = useService()

test('an empty log has no problems', async () => {
  const report = await verify(service.database)
  expect(report).toMatchObject({ problems: 0, first: [] })
})

test('a history has no problems, folded or not', async () => {
  await writeHistory(service)
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  await settle(service.database, service.shards)
  expect(await verify(service.database)).toMatchObject({ problems: 0, first: [] })
  await writeHistory(service)
  await settle(service.database, service.shards)
  const report = await verify(service.database)
  expect(report).toMatchObject({ problems: 0, first: [] })
  expect(report.events).toBeGreaterThan(50)
})

test('an audit of this history finds nothing, and compares every act', async () => {
  await untilSigned(service)
  const { findings, report } = await auditService(service)
  expect(findings).toEqual([])
  expect(report.acts).toBeGreaterThan(10)
  expect(report.missedActs).toBe(0)
})

test('plain SQL adds up the same totals, usage and unknown keys', async () => {
  await service.read('/admin/usage')
  await service.read('/admin/apikey-stats/summary')
  const { recounted, projected, unreadable } = await recount(service.database.address)
  expect(recounted).toEqual(projected)
  for (const rows of Object.values(recounted)) expect(rows.length).toBeGreaterThan(0)
  // Two in each shard, twice.
  expect(unreadable).toBe(4 * service.shards)
})
