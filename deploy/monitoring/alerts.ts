/** An alert rule of Prometheus. */
export type Alert = {
  name: string
  expr: string
  /** How long the expression holds before the alert fires. */
  for: string
  /** `critical`: counts are refused, or a number may be wrong. */
  severity: 'critical' | 'warning'
  /** The situation in a sentence. It may contain labels of the series: `{{ $labels.shard }}`. */
  summary: string
  /** The meaning, and where to look. Markdown, with links from docs/reference. */
  action: string
}

/** True for each of these outcomes that flushes had in the last five minutes, on any instance. */
const flushes = (outcomes: string) =>
  `sum by (outcome) (increase(tallybook_flushes_total{outcome=~"${outcomes}"}[5m])) > 0`

/** The alerts, the most urgent first. */
export const ALERTS: readonly Alert[] = [
  {
    name: 'TallybookAbsent',
    expr: 'absent(tallybook_database_up)',
    for: '5m',
    severity: 'critical',
    summary: 'No instance of Tallybook is scraped.',
    action: 'No service runs, or Prometheus does not reach `/metrics` or lacks its token.',
  },
  {
    name: 'TallybookDatabaseDown',
    expr: 'tallybook_database_up == 0',
    for: '1m',
    severity: 'critical',
    summary: 'The database does not answer {{ $labels.instance }}.',
    action: 'On Citus it is the coordinator. Flushes get 503, and clients keep them.',
  },
  {
    name: 'TallybookShardDown',
    expr: 'tallybook_shard_up == 0',
    for: '2m',
    severity: 'critical',
    summary: "Shard {{ $labels.shard }} can't be read, or refuses flushes.",
    action:
      'On Citus its worker may be unavailable. The log of the service gives the shard and the ' +
      'reason, once every half minute.',
  },
  {
    name: 'TallybookFlushesFailed',
    expr: flushes('failed'),
    for: '0s',
    severity: 'critical',
    summary: 'Flushes were answered with 500.',
    action: 'It is a fault of the service; its log has the error.',
  },
  {
    name: 'TallybookFlushesUnavailable',
    expr: flushes('unavailable'),
    for: '5m',
    severity: 'critical',
    summary: 'Flushes are answered with 503 for minutes.',
    action: 'Clients are told to retry, and keep what they have counted.',
  },
  {
    name: 'TallybookParkedEvents',
    expr: 'max(tallybook_parked_events) > 0',
    for: '0s',
    severity: 'critical',
    summary: '{{ $value }} events could not be folded.',
    action: 'Totals lack them. `GET /admin/projections` names them and the reason.',
  },
  {
    name: 'TallybookVerificationProblems',
    expr: 'max(tallybook_verify_problems) > 0',
    for: '0s',
    severity: 'critical',
    summary: 'The newest verification found {{ $value }} problems.',
    action:
      '`GET /admin/verifications` says where ([what to do](../guides/monitoring.md#integrity-checks)).',
  },
  {
    name: 'TallybookTreeHeadsStopped',
    expr:
      'max by (shard) (delta(tallybook_log_position[15m])) > 0 ' +
      'unless max by (shard) (delta(tallybook_tree_size[15m])) > 0',
    for: '10m',
    severity: 'critical',
    summary: 'Shard {{ $labels.shard }} grows, and no tree head of it is signed.',
    action:
      'The log of the service gives the reason ([signing ' +
      'keys](../guides/signing-keys.md#if-the-service-refuses-to-start)).',
  },
  {
    name: 'TallybookAppendsSlow',
    expr:
      'histogram_quantile(0.99, sum by (le) ' +
      '(rate(tallybook_append_duration_seconds_bucket[5m]))) > 1',
    for: '5m',
    severity: 'warning',
    summary: 'One flush in a hundred takes over a second into the log.',
    action: 'The disk or the database is slow.',
  },
  {
    name: 'TallybookQueueLong',
    expr:
      'tallybook_queue_length > on (job, instance) ' +
      '8000 * count by (job, instance) (tallybook_shard_up)',
    for: '1m',
    severity: 'warning',
    summary: '{{ $value }} flushes wait on {{ $labels.instance }}.',
    action: 'At 10,000 per shard, clients get 503.',
  },
  {
    name: 'TallybookProjectionBehind',
    expr:
      'max by (projection) (tallybook_projection_lag_seconds{projection!~"usage|snapshots"}) > 10 ' +
      'or max by (projection) (tallybook_projection_lag_seconds{projection="usage"}) > 100',
    for: '1m',
    severity: 'warning',
    summary: '{{ $labels.projection }} is {{ $value }} s behind the log.',
    action:
      'Reads that need it answer later, or with 503. `usage` may be 90 s behind, and `snapshots` ' +
      'as long as few flushes arrive.',
  },
  {
    name: 'TallybookProjectionDrifted',
    expr: 'max by (projection) (tallybook_projection_drifted_rows) > 0',
    for: '0s',
    severity: 'warning',
    summary:
      'A rebuild found {{ $value }} rows of {{ $labels.projection }} that differed from the log.',
    action: 'It has replaced them. Find out what had changed them.',
  },
  {
    name: 'TallybookVerificationOld',
    expr: 'time() - max(tallybook_verify_timestamp_seconds) > 2 * 86400',
    for: '1h',
    severity: 'warning',
    summary: 'No verification has finished for two days.',
    action: 'Checks that `TALLYBOOK_VERIFY_AT` schedules take too long, or fail; the log has why.',
  },
  {
    name: 'TallybookInstanceWithoutHeartbeat',
    expr: 'max(tallybook_instances) < count(tallybook_database_up == 1)',
    for: '2m',
    severity: 'warning',
    summary: 'An instance that is scraped sends no heartbeat.',
    action: 'The others do its work. `GET /admin/status` lists those that live.',
  },
  {
    name: 'TallybookClockWrong',
    expr: 'max(tallybook_log_ahead_seconds) > 60',
    for: '5m',
    severity: 'warning',
    summary: 'The newest event is {{ $value }} s in the future.',
    action: 'The clock of the database is, or was, wrong.',
  },
  {
    name: 'TallybookReplicaUnused',
    expr: 'max by (replica) (tallybook_replica_used) == 0',
    for: '5m',
    severity: 'warning',
    summary: 'No read goes to the replica {{ $labels.replica }}.',
    action:
      'It is behind, unavailable or refused, and the primary answers its reads. ' +
      '`GET /admin/status` gives the reason; `tallybook_replica_fallbacks_total` counts the reads.',
  },
  {
    name: 'TallybookReplicaBehind',
    expr: 'max by (replica) (tallybook_replica_lag_seconds) > 5',
    for: '5m',
    severity: 'warning',
    summary: 'The replica {{ $labels.replica }} is {{ $value }} s behind.',
    action: 'It does not keep up with the log.',
  },
  {
    name: 'TallybookSourceSilent',
    expr: 'max(tallybook_sources_silent) > 0',
    for: '5m',
    severity: 'warning',
    summary: '{{ $value }} tokens have stopped posting flushes.',
    action: '`GET /admin/sources` names them ([sources](../guides/sources.md#silence)).',
  },
  {
    name: 'TallybookFlushesMissing',
    expr: 'max(tallybook_missing_flushes) > 0',
    for: '15m',
    severity: 'warning',
    summary: '{{ $value }} numbered flushes have not arrived.',
    action:
      'A proxy has lost flushes, or kept them back ' +
      '([sources](../guides/sources.md#what-is-missing)).',
  },
  {
    name: 'TallybookWebhookFailing',
    expr: 'max(tallybook_webhooks_failing) > 0',
    for: '30m',
    severity: 'warning',
    summary: '{{ $value }} webhooks do not take what is sent to them.',
    action:
      '`GET /admin/webhooks` has the last status or error ' +
      '([webhooks](../guides/webhooks.md#deliveries)).',
  },
  {
    name: 'TallybookWebhookGivenUp',
    // A gauge: it falls when a webhook or what was given up long ago is deleted.
    expr: 'max(delta(tallybook_webhook_given_up[15m])) > 0',
    for: '0s',
    severity: 'warning',
    summary: 'A webhook did not get an event in eleven attempts.',
    action: '`GET /admin/webhook-deliveries` lists it; the event is in the log.',
  },
  {
    name: 'TallybookFlushesInvalid',
    expr: flushes('rejected|too_large|too_slow|key_reused'),
    for: '0s',
    severity: 'warning',
    summary: 'Flushes are refused: {{ $labels.outcome }}.',
    action: "A client's mistake; the detail of the answer says which.",
  },
  {
    name: 'TallybookTokensRefused',
    expr: flushes('unauthorized|forbidden|too_many_requests'),
    for: '10m',
    severity: 'warning',
    summary: 'Flushes are refused because of their token: {{ $labels.outcome }}.',
    action: 'A proxy has an old or a wrong token, or someone guesses tokens.',
  },
  {
    name: 'TallybookRegistrationLimited',
    expr: 'increase(tallybook_registration_limited_total[15m]) > 0',
    for: '0s',
    severity: 'warning',
    summary: 'Unknown keys are not registered any more today.',
    action:
      '`TALLYBOOK_REGISTER_PER_DAY` is reached ([unknown ' +
      'keys](../guides/unknown-keys.md#the-limit)); `tallybook_registered_keys_today` shows how fast.',
  },
  {
    name: 'TallybookDimensionOthers',
    expr: 'increase(tallybook_dimension_others_total[1h]) > 0',
    for: '0s',
    severity: 'warning',
    summary: 'Values of dimensions are counted as `other`.',
    action:
      'A dimension has more than `TALLYBOOK_DIMENSION_VALUES` of them in a day, or a key or group ' +
      'more than 10,000 combinations.',
  },
  {
    name: 'TallybookFileDescriptors',
    expr: 'process_open_fds / process_max_fds > 0.8 and on (job, instance) tallybook_database_up',
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.instance }} has used up most of its file descriptors.',
    action: 'Raise the limit (`LimitNOFILE`, `ulimit -n`), or find out who opens connections.',
  },
  {
    name: 'TallybookArchiveUnreadable',
    expr: 'max(tallybook_archive_unreadable_segments) > 0',
    for: '10m',
    severity: 'critical',
    summary: "Segments of the log can't be read in the archive.",
    action:
      'Reads that need them get 503. `GET /admin/status` names the files and the reason; ' +
      '`tallybook segments verify` checks all ([archive](../guides/archive.md#when-a-file-cannot-be-read)).',
  },
  {
    name: 'TallybookArchiveFailing',
    expr: 'max(tallybook_archive_failing) > 0',
    for: '1h',
    severity: 'warning',
    summary: 'Segments of the log are not moved to the archive.',
    action:
      'Nothing is lost: they stay in the database, which grows. `GET /admin/status` has the reason.',
  },
]
