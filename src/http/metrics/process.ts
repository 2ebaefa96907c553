import { type Metric, Registry } from 'prom-client'

/**
 * The collectors of prom-client that are made. `collectDefaultMetrics` would make those of the heap
 * too, which walk it when they are made and at each scrape: 6 ms when it is empty, 274 ms at a
 * million objects.
 */
const MAKERS = [
  'processCpuTotal',
  'processStartTime',
  'osMemoryHeap',
  'processOpenFileDescriptors',
  'processMaxFileDescriptors',
  'eventLoopLag',
  'gc',
]

/** The metrics that are kept of those: the others say nothing in Bun, or repeat one of these. */
const REPORTED = [
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
  'process_start_time_seconds',
  'process_resident_memory_bytes',
  'process_virtual_memory_bytes',
  'process_open_fds',
  'process_max_fds',
  'nodejs_eventloop_lag_seconds',
  'nodejs_eventloop_lag_max_seconds',
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_gc_duration_seconds',
]

/** Resolution of the event loop's lag, in milliseconds. */
const LAG_PRECISION_MS = 10

/** The process's metrics. */
export function processMetrics(): Metric[] {
  const all = new Registry()
  for (const name of MAKERS) {
    const make = require(`prom-client/lib/metrics/${name}.js`)
    make(all, { eventLoopMonitoringPrecision: LAG_PRECISION_MS })
  }
  return REPORTED.flatMap((name) => all.getSingleMetric(name) ?? [])
}
