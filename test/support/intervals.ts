import { INTERVALS, type Intervals } from '../../src/platform/intervals.ts'

/**
 * The intervals of a test service: most are a tenth of the real ones, so that no test waits for
 * seconds. What few tests wait for comes less often, because an idle service took 5 % of a core.
 * The time until an instance counts as gone and the wait for a slot stay long: on a loaded machine,
 * instances that take each other for dead, or refusals, would fail unrelated tests. A test of these
 * requests a short one.
 */
export const TEST_INTERVALS: Intervals = {
  database: INTERVALS.database,
  instances: { heartbeatMs: 500, silentAfterMs: 3_000 },
  certificate: { pollIntervalMs: 100 },
  tokens: { pollIntervalMs: 300 },
  log: INTERVALS.log,
  segments: { pollIntervalMs: 2_000 },
  packing: { pollIntervalMs: 2_000 },
  archive: { pollIntervalMs: 500, refreshMs: 100, checkEachMs: 500 },
  projector: { pollIntervalMs: 300, helpAfterMs: 100, retryAfterMs: 20 },
  quota: { pollIntervalMs: 2_000 },
  rollups: { pollIntervalMs: 2_000 },
  rules: { evaluateIntervalMs: 2_000 },
  webhooks: { pollIntervalMs: 300, connectWithinMs: 2_000, answerWithinMs: 2_000 },
  transparency: { pollIntervalMs: 250, helpAfterMs: 300 },
  replicas: { ...INTERVALS.replicas, pollIntervalMs: 100 },
  streams: { pollIntervalMs: 100, authIntervalMs: 100, keepAliveMs: 1_500, retryAfterMs: 100 },
  adoption: INTERVALS.adoption,
  admission: { waitMs: 60_000 },
  metrics: { reuseMs: 0 },
  stop: INTERVALS.stop,
}
