import { ConnectError } from '../../src/platform/postgres/connection/error.ts'
import { startTestService, type TestService, type TestServiceOptions } from '../support/service.ts'
import { until } from '../support/until.ts'
import type { History, Sent } from './history.ts'
import { RECOVERY_MS } from './network-limits.ts'

/** Milliseconds between two attempts of a kind. */
const TRY_MS = 250
/** Attempts of a kind that wait at once, limited by a client's connections. */
const MAX_TRIES = 20
/** After this many times RECOVERY_MS the service has not recovered. */
const PATIENCE = 6

/**
 * Repeats every kind of request that a user needs until one of each succeeds. An attempt doesn't
 * wait for the ones before it, as if another client made it. Returns the milliseconds of the
 * slowest kind.
 */
export async function awaitRecovery(service: TestService, history: History): Promise<number> {
  const began = performance.now()
  const needs = [
    () => service.fetch(null, '/health/ready'),
    () => postOnce(service, history),
    () => service.fetch('admin', '/admin/apikey-stats/summary'),
    () => service.fetch('admin', '/admin/usage'),
    () => service.fetch('auditor', '/audit/events?limit=1'),
  ]
  const times = await Promise.all(
    needs.map(async (attempt) => {
      let isBack = false
      let waiting = 0
      const start = async () => {
        waiting++
        const response = await attempt().catch(() => null)
        await response?.arrayBuffer()
        waiting--
        isBack ||= response?.status === 200
      }
      for (let next = 0; !isBack; await Bun.sleep(25)) {
        if (performance.now() - began > PATIENCE * RECOVERY_MS) {
          history.violate(`not recovered: ${attempt}`)
          break
        }
        if (performance.now() < next || waiting === MAX_TRIES) continue
        next = performance.now() + TRY_MS
        void start()
      }
      return performance.now() - began
    }),
  )
  return Math.max(...times)
}

/** Posts an empty flush once. */
async function postOnce(service: TestService, history: History): Promise<Response> {
  const key = `recovery-${history.sent.length}`
  const sent: Sent = { key, entries: [], requests: 0, most: 0, ack: null, counted: false }
  history.noteSent(sent)
  const headers = { 'idempotency-key': key }
  const response = await service.post('/internal/apikey-stats/flush', { keys: [] }, headers)
  const position = response.headers.get('tallybook-position') ?? ''
  if (response.status === 200) history.noteAck(sent, { position, body: '' })
  return response
}

/** Starts a service, again if a busy machine did not answer within its time-outs. */
export const startPatiently = (options: TestServiceOptions): Promise<TestService> =>
  until(() =>
    startTestService(options).catch((error) => {
      if (error instanceof ConnectError) return null
      throw error
    }),
  )
