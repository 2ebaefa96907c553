/** A panel of the dashboard: its queries, and how the legend names their series. */
export type Panel = {
  title: string
  unit: 'short' | 's' | 'bytes' | 'reqps' | 'percentunit'
  queries: { expr: string; legend: string }[]
}

/** The instances that the user has chosen, and the time that a rate covers. */
const HERE = 'instance=~"$instance"'
const RATE = '[$__rate_interval]'
/** Metrics of a process have the same names in other programs. */
const OURS = 'and on (job, instance) tallybook_database_up'

const panel = (title: string, unit: Panel['unit'], queries: Record<string, string>): Panel => ({
  ...{ title, unit },
  queries: Object.entries(queries).map(([legend, expr]) => ({ expr, legend })),
})

const max = (metric: string, by?: string) =>
  `max${by === undefined ? '' : ` by (${by}) `}(tallybook_${metric}{${HERE}})`

const perSecond = (counter: string, by?: string) =>
  `sum${by === undefined ? '' : ` by (${by}) `}(rate(tallybook_${counter}{${HERE}}${RATE}))`

const appendSeconds = (quantile: number) =>
  `histogram_quantile(${quantile}, ${perSecond('append_duration_seconds_bucket', 'le')})`

const age = (metric: string) => `time() - ${max(metric)}`

/** The rows of the dashboard. */
export const ROWS: readonly { title: string; panels: Panel[] }[] = [
  {
    title: 'Flushes',
    panels: [
      panel('Flushes by outcome', 'reqps', {
        '{{outcome}}': perSecond('flushes_total', 'outcome'),
      }),
      panel('Time into the log', 's', { median: appendSeconds(0.5), '99 %': appendSeconds(0.99) }),
      panel('Queue', 'short', { '{{instance}}': `tallybook_queue_length{${HERE}}` }),
    ],
  },
  {
    title: 'Log and projections',
    panels: [
      panel('Events by shard', 'reqps', {
        'shard {{shard}}': `max by (shard) (deriv(tallybook_log_position{${HERE}}${RATE}))`,
      }),
      panel('Projections behind the log', 's', {
        '{{projection}}': max('projection_lag_seconds', 'projection'),
      }),
      panel('Events not folded yet', 'short', {
        '{{projection}}': max('projection_lag_events', 'projection'),
      }),
      panel('Events without a signed tree head', 'short', {
        'shard {{shard}}': `${max('log_position', 'shard')} + 1 - ${max('tree_size', 'shard')}`,
      }),
      panel('Clock of the log ahead', 's', { ahead: max('log_ahead_seconds') }),
    ],
  },
  {
    title: 'Health',
    panels: [
      panel('Up', 'short', {
        'database, {{instance}}': `tallybook_database_up{${HERE}}`,
        'shard {{shard}}': `min by (shard) (tallybook_shard_up{${HERE}})`,
      }),
      panel('Must be 0', 'short', {
        'parked events': max('parked_events'),
        'problems of verification': max('verify_problems'),
        'drifted rows, {{projection}}': max('projection_drifted_rows', 'projection'),
      }),
      panel('Age of the newest', 's', {
        verification: age('verify_timestamp_seconds'),
        attestation: age('attestation_timestamp_seconds'),
      }),
      panel('Instances', 'short', {
        alive: max('instances'),
        'shards of {{instance}}': `sum by (instance) (tallybook_shard_owned{${HERE}})`,
      }),
    ],
  },
  {
    title: 'Sources, keys, dimensions and rules',
    panels: [
      panel('Sources', 'short', {
        silent: max('sources_silent'),
        'missing flushes': max('missing_flushes'),
      }),
      panel('Unknown keys', 'short', {
        'registered today': max('registered_keys_today'),
        'left unregistered, per second': perSecond('registration_limited_total'),
      }),
      panel('Values counted as other', 'reqps', { values: perSecond('dimension_others_total') }),
      panel('Rules and webhooks', 'short', {
        crossed: max('rules_crossed'),
        'deliveries that wait': max('webhook_pending'),
        'deliveries given up': max('webhook_given_up'),
        'webhooks that fail': max('webhooks_failing'),
      }),
    ],
  },
  {
    title: 'Archive',
    panels: [
      panel('Segments', 'short', { '{{state}}': max('segments', 'state') }),
      panel('Size', 'bytes', { files: max('archive_bytes') }),
      panel('Archive, must be 0', 'short', {
        'segments that can not be read': max('archive_unreadable_segments'),
        'segments can not be moved': max('archive_failing'),
      }),
    ],
  },
  {
    title: 'Read replicas',
    panels: [
      panel('Reads', 'reqps', {
        'by replicas': perSecond('replica_reads_total'),
        'by the primary: {{reason}}': perSecond('replica_fallbacks_total', 'reason'),
      }),
      panel('Behind the primary', 's', { '{{replica}}': max('replica_lag_seconds', 'replica') }),
      panel('Replicas', 'short', {
        '{{replica}} used': `min by (replica) (tallybook_replica_used{${HERE}})`,
        'events that {{replica}} lacks': max('replica_lag_events', 'replica'),
      }),
    ],
  },
  {
    title: 'Process',
    panels: [
      panel('Processor', 'percentunit', {
        '{{instance}}': `rate(process_cpu_seconds_total{${HERE}}${RATE}) ${OURS}`,
      }),
      panel('Resident memory', 'bytes', {
        '{{instance}}': `process_resident_memory_bytes{${HERE}} ${OURS}`,
      }),
      panel('Event loop lag, 99 %', 's', {
        '{{instance}}': `nodejs_eventloop_lag_p99_seconds{${HERE}} ${OURS}`,
      }),
      panel('File descriptors', 'percentunit', {
        '{{instance}}': `process_open_fds{${HERE}} / process_max_fds{${HERE}} ${OURS}`,
      }),
      panel('Spans of traces that were dropped', 'reqps', {
        '{{reason}}': perSecond('trace_spans_dropped_total', 'reason'),
      }),
    ],
  },
]
