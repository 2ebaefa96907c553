import { afterAll, expect, test } from 'bun:test'
import net from 'node:net'
import { UserError } from '../../src/platform/user-error.ts'
import { readConfig } from '../../src/service/config.ts'
import { startMeter } from '../support/meter.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, useService } from '../support/service.ts'

// Where the service listens, how long it keeps what is idle, and how it ends.

const service = useService({ shards: 1 })
const other = await createDatabase({ shards: 1 })
afterAll(() => other.drop())

const portOf = (url: string) => Number(new URL(url).port)

test('a port that another service has is refused, and that one gets every flush', async () => {
  const port = portOf(service.url)
  const starting = startTestService({ database: other, shards: 1, port })
  const error = await starting.catch((failure: unknown) => failure)
  expect(error).toBeInstanceOf(UserError)
  expect((error as Error).message).toContain(`127.0.0.1:${port}: another program listens there`)
  for (let i = 0; i < 40; i++) await service.post('/internal/stats/flush', {})
  const [row] = await service.database.owner`select count(*)::integer as flushes from events`
  expect(row!.flushes).toBe(40)
})

test('a port of the metrics that is taken is refused, and the service with it', async () => {
  const metricsAddress = { host: '127.0.0.1', port: portOf(service.url) }
  const starting = startTestService({ database: other, shards: 1, metricsAddress })
  await expect(starting).rejects.toThrow('another program listens there')
  // Nothing is left that would keep the next one from starting.
  await (await startTestService({ database: other, shards: 1 })).stop()
})

test('idle connections outlive the sixty seconds of balancers, and end when it is set so', async () => {
  expect(readConfig({}).idleTimeoutSeconds).toBeGreaterThan(60)
  expect(readConfig({ TALLYBOOK_IDLE_TIMEOUT_SECONDS: '75' }).idleTimeoutSeconds).toBe(75)
  for (const value of ['0', '4', '256', 'x']) {
    expect(() => readConfig({ TALLYBOOK_IDLE_TIMEOUT_SECONDS: value })).toThrow('IDLE_TIMEOUT')
  }
  const restless = await startTestService({ database: other, shards: 1, idleTimeoutSeconds: 1 })
  const socket = net.connect(portOf(restless.url), '127.0.0.1')
  socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')
  socket.resume()
  await new Promise((resolve) => socket.on('close', resolve))
  await restless.stop()
})

test('a stop ends although the database answers nothing, with flushes and reads under way', async () => {
  const way = await startMeter(other.address)
  const stopping = await startTestService({
    ...{ database: other, address: way.address, shards: 1 },
    intervals: { stop: { drainMs: 500, timeoutMs: 200 } },
  })
  await stopping.post('/internal/stats/flush', {})
  way.swallow()
  const underWay = [
    ...Array.from({ length: 4 }, () => stopping.post('/internal/stats/flush', {})),
    ...Array.from({ length: 4 }, () => stopping.fetch('admin', '/admin/keys')),
  ].map((request) => request.catch(() => null))
  await Bun.sleep(50)
  await stopping.stop()
  await Promise.all(underWay)
  await way.close()
})
