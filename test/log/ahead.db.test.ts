import { expect, test } from 'bun:test'
import pino from 'pino'
import { insertEvent } from '../support/events.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// A log whose newest event lies in the future, as after a clock that was wrong: who runs it is told.

const DAY_S = 86_400

/** What a service says of a log whose newest event is so many seconds ahead; null: of an empty one. */
async function observe(ahead: number | null) {
  const database = await createDatabase({ shards: 1 })
  if (ahead !== null) {
    const recordedAt = new Date(Date.now() + ahead * 1_000).toISOString()
    await insertEvent(database.owner, { recordedAt })
  }
  const lines: { msg: string; seconds?: number }[] = []
  const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) })
  const service = await startTestService({ database, shards: 1, logger })
  const readStatus = () => service.read<{ log_ahead_seconds: number | null }>('/admin/status')
  await until(async () => (await readStatus()).log_ahead_seconds !== null)
  const metrics = await (await service.fetch(null, '/metrics')).text()
  const observed = {
    status: (await readStatus()).log_ahead_seconds,
    ready: ((await (await service.fetch(null, '/health/ready')).json()) as Record<string, unknown>)
      .log_ahead_seconds,
    metric: Number(/^tallybook_log_ahead_seconds (\S+)$/m.exec(metrics)?.[1]),
    logged: lines.filter(({ msg }) => msg === 'log: the newest event lies in the future'),
  }
  await service.end()
  return observed
}

test.each([null, -DAY_S, 0, 30])('nothing is said of a newest event %p s ahead', async (ahead) => {
  expect(await observe(ahead)).toEqual({ status: 0, ready: undefined, metric: 0, logged: [] })
})

test.each([90, 2 * DAY_S, 3_650 * DAY_S])('one that is %p s ahead is said', async (ahead) => {
  const { status, ready, metric, logged } = await observe(ahead)
  expect(status).toBeGreaterThan(ahead - 60)
  expect(status).toBeLessThanOrEqual(ahead)
  expect([ready, metric]).toEqual([status!, status!])
  expect(logged).toMatchObject([{ seconds: Math.round(status!) }])
})
