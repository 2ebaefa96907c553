import { afterAll, beforeAll, expect, test } from 'bun:test'
import { insertEvent } from '../support/events.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const AHEAD_S = 3_600

let service: TestService

beforeAll(async () => {
  const database = await createDatabase()
  // Before the service starts: it looks once a minute.
  const recordedAt = new Date(Date.now() + AHEAD_S * 1_000).toISOString()
  await insertEvent(database.owner, { recordedAt })
  service = await startTestService({ database })
})

afterAll(() => service.end())

test('status, health and metrics report how far ahead of its clock the log is', async () => {
  const readStatus = async () =>
    (await service.read<{ log_ahead_seconds: number | null }>('/admin/status')).log_ahead_seconds
  const ahead = await until(readStatus)
  expect(ahead).toBeLessThanOrEqual(AHEAD_S)
  expect(await (await service.fetch(null, '/health/ready')).json()).toMatchObject({
    log_ahead_seconds: ahead,
  })
  const metrics = await (await service.fetch(null, '/metrics')).text()
  expect(Number(/^tallybook_log_ahead_seconds (\S+)$/m.exec(metrics)?.[1])).toBe(ahead)
})
