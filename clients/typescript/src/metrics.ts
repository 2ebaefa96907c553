/** What a client has done, for its metrics. */
export class Counters {
  recorded = 0
  dropped = 0
  sealed = 0
  accepted = 0
  rejected = 0
  merged = 0
  split = 0
  sealFailures = 0
  attempts = { accepted: 0, unknown: 0, refused: 0 }
  isPaused = false
}

/** What is measured when the metrics are read. */
export type Gauges = { accumulators: number; flushes: number; bytes: number }

/** Formats the metrics as Prometheus reads them. */
export function formatMetrics(counters: Counters, gauges: Gauges): string {
  const counter = (name: string, help: string, value: number) =>
    metric(name, 'counter', help, [['', value]])
  const gauge = (name: string, help: string, value: number) =>
    metric(name, 'gauge', help, [['', value]])
  return [
    counter('recorded_total', 'Calls that were counted.', counters.recorded),
    counter('dropped_total', 'Calls whose input was invalid.', counters.dropped),
    gauge('accumulators', 'Accounts and dimensions in memory.', gauges.accumulators),
    counter('sealed_total', 'Flushes written to the spool.', counters.sealed),
    counter('accepted_total', 'Flushes that the service has.', counters.accepted),
    counter('rejected_total', 'Flushes moved to rejected.', counters.rejected),
    counter('merged_total', 'Flushes that became part of another one.', counters.merged),
    counter('split_total', 'Flushes that were split.', counters.split),
    counter('seal_failures_total', 'Seals that the disk refused.', counters.sealFailures),
    metric(
      'attempts_total',
      'counter',
      'Attempts to post a flush.',
      Object.entries(counters.attempts).map(([outcome, n]) => [`{outcome="${outcome}"}`, n]),
    ),
    gauge('spool_flushes', 'Flushes waiting in the spool.', gauges.flushes),
    gauge('spool_bytes', 'Bytes waiting in the spool.', gauges.bytes),
    gauge('paused', '1 while the service refuses this client.', counters.isPaused ? 1 : 0),
  ].join('')
}

function metric(name: string, type: string, help: string, samples: [string, number][]): string {
  const full = `tallybook_client_${name}`
  const lines = samples.map(([labels, value]) => `${full}${labels} ${value}\n`)
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`
}
