import { INTERVALS, type Intervals } from '../../src/platform/intervals.ts'

/**
 * The intervals of a test service: about a tenth of the real ones, so that no test waits for
 * seconds. The time until an instance counts as gone and the wait for a slot stay long: on a
 * loaded machine, instances that take each other for dead, or refusals, would fail unrelated tests.
 * A test of these requests a short one.
 */
export const TEST_INTERVALS: Intervals = {
  database: INTERVALS.database,
  instances: { heartbeatMs: 500, silentAfterMs: 3_000 },
  certificate: { pollIntervalMs: 100 },
  tokens: { pollIntervalMs: 300 },
  log: INTERVALS.log,
  segments: { pollIntervalMs: 500 },
  packing: { pollIntervalMs: 500 },
  archive: { pollIntervalMs: 500, refreshMs: 100, checkEachMs: 500 },
  projector: { pollIntervalMs: 300, helpAfterMs: 100, retryAfterMs: 20 },
  quota: { pollIntervalMs: 500 },
  rollups: { pollIntervalMs: 500 },
  rules: { evaluateIntervalMs: 500 },
  webhooks: { pollIntervalMs: 300, connectWithinMs: 2_000, answerWithinMs: 2_000 },
  transparency: { pollIntervalMs: 250, helpAfterMs: 300 },
  replicas: { ...INTERVALS.replicas, pollIntervalMs: 100 },
  streams: { pollIntervalMs: 100, authIntervalMs: 100, keepAliveMs: 1_500, retryAfterMs: 100 },
  adoption: INTERVALS.adoption,
  admission: { waitMs: 60_000 },
  metrics: { reuseMs: 0 },
  stop: INTERVALS.stop,
}
