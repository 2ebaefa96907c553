import { afterAll, beforeAll, expect, test } from 'bun:test'
import { startTestService, type TestService } from '../support/service.ts'
import { settle, verify, writeHistory } from './history.ts'

let service: TestService

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.end())

test('a log without an event has no problems', async () => {
  const report = await verify(service.database)
  expect(report).toMatchObject({ problems: 0, first: [] })
})

test('a history has no problems', async () => {
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
