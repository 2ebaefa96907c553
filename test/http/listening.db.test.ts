import { afterAll, expect, test } from 'bun:test'
import net from 'node:net'
import { UserError } from '../../src/platform/user-error.ts'
import { readConfig } from '../../src/service/config.ts'
import { startMeter } from '../support/meter.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, useService } from '../support/service.ts'

// Where the service listens, how long it keeps idle connections, and how it stops.

const service = useService({ shards: 1 })
const other = await createDatabase({ shards: 1 })
afterAll(() => other.drop())

const portOf = (url: string) => Number(new URL(url).port)

test('a start on a port in use fails, and the service on that port gets every flush', async () => {
  const port = portOf(service.url)
  const starting = startTestService({ database: other, shards: 1, port })
  const error = await starting.catch((failure: unknown) => failure)
  expect(error).toBeInstanceOf(UserError)
  expect((error as Error).message).toContain(`127.0.0.1:${port}: another program listens there`)
  for (let i = 0; i < 40; i++) await service.post('/internal/stats/flush', {})
  const [row] = await service.database.owner`select count(*)::integer as flushes from events`
  expect(row!.flushes).toBe(40)
})

test('a start with a metrics port in use fails', async () => {
  const metricsAddress = { host: '127.0.0.1', port: portOf(service.url) }
  const starting = startTestService({ database: other, shards: 1, metricsAddress })
  await expect(starting).rejects.toThrow('another program listens there')
  // Nothing is left that would prevent the next start.
  await (await startTestService({ database: other, shards: 1 })).stop()
})

test('idle connections outlive the 60 s of balancers, and end when configured', async () => {
  expect(readConfig({}).idleTimeoutSeconds).toBeGreaterThan(60)
  expect(readConfig({ TALLYBOOK_IDLE_TIMEOUT_SECONDS: '75' }).idleTimeoutSeconds).toBe(75)
  for (const value of ['0', '4', '256', 'x']) {
    expect(() => readConfig({ TALLYBOOK_IDLE_TIMEOUT_SECONDS: value })).toThrow('IDLE_TIMEOUT')
  }
  const impatient = await startTestService({ database: other, shards: 1, idleTimeoutSeconds: 1 })
  const socket = net.connect(portOf(impatient.url), '127.0.0.1')
  socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')
  socket.resume()
  await new Promise((resolve) => socket.on('close', resolve))
  await impatient.stop()
})

test('a stop completes although the database hangs with flushes and reads in flight', async () => {
  const proxy = await startMeter(other.address)
  const stopping = await startTestService({
    ...{ database: other, address: proxy.address, shards: 1 },
    intervals: { stop: { drainMs: 500, timeoutMs: 200 } },
  })
  await stopping.post('/internal/stats/flush', {})
  proxy.swallow()
  const underWay = [
    ...Array.from({ length: 4 }, () => stopping.post('/internal/stats/flush', {})),
    ...Array.from({ length: 4 }, () => stopping.fetch('admin', '/admin/keys')),
  ].map((request) => request.catch(() => null))
  await Bun.sleep(50)
  await stopping.stop()
  await Promise.all(underWay)
  await proxy.close()
})
