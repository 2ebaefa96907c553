import { INTERVALS, type Intervals } from '../../src/platform/intervals.ts'

/**
 * Those of a test service: about a tenth of the real ones, so that no test waits for seconds. What
 * says that somebody is gone stays long, and whoever asks for much waits: a test machine may be
 * loaded, and instances that take each other for dead, or a refusal, would fail what has nothing to
 * do with that. A test of it asks for a short one.
 */
export const TEST_INTERVALS: Intervals = {
  database: INTERVALS.database,
  instances: { heartbeatMs: 500, silentAfterMs: 3_000 },
  tokens: { pollIntervalMs: 300 },
  log: INTERVALS.log,
  projector: { pollIntervalMs: 300, helpAfterMs: 100, retryAfterMs: 20 },
  transparency: { pollIntervalMs: 250, helpAfterMs: 300 },
  replicas: { ...INTERVALS.replicas, pollIntervalMs: 100 },
  streams: { pollIntervalMs: 100, authIntervalMs: 100, keepAliveMs: 1_500, retryAfterMs: 100 },
  places: { waitMs: 60_000 },
  metrics: { reuseMs: 0 },
  stop: INTERVALS.stop,
}
