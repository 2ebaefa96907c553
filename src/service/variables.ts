/** An environment variable: its default as text, or null if it has none, and what it means. */
export type Variable = { default: string | null; meaning: string }

/**
 * Every environment variable that the service and its commands read: the one source of their names
 * and defaults, and of docs/reference/environment.md (`bun run reference`). PostgreSQL's own
 * (`PGHOST` …) also count, as libpq defines them.
 */
export const VARIABLES = {
  TALLYBOOK_HOST: { default: '127.0.0.1', meaning: 'Address to listen on.' },
  TALLYBOOK_PORT: { default: '3000', meaning: 'Port to listen on; 0 picks a free one.' },
  TALLYBOOK_BASE_PATH: {
    default: null,
    meaning: 'Path prefix, such as `/tallybook`, if a proxy shares its host with other programs.',
  },
  TALLYBOOK_TLS_CERT: {
    default: null,
    meaning:
      'File with a certificate and its chain, in PEM, to serve HTTPS. If the file changes, the ' +
      'new certificate is used within 10 s.',
  },
  TALLYBOOK_TLS_KEY: { default: null, meaning: 'File with its private key, in PEM.' },
  TALLYBOOK_TRUSTED_PROXIES: {
    default: null,
    meaning:
      'Networks of proxies, such as `10.0.0.0/8, 2001:db8::/32`: from these addresses only, ' +
      '`X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` are believed.',
  },
  TALLYBOOK_WEBHOOK_ALLOWED_NETWORKS: {
    default: null,
    meaning:
      'Networks to which webhooks may go though they are private, such as ' +
      '`10.20.0.0/16, fd00:20::/32`, also with `http:`. Unset: only to the internet.',
  },
  TALLYBOOK_DATA_DIR: {
    default: '.tallybook',
    meaning: 'Directory of the embedded database, the generated tokens and the signing key.',
  },
  DATABASE_URL: {
    default: null,
    meaning: 'An external PostgreSQL, 15 to 18. Unset: the embedded one.',
  },
  DATABASE_READ_URL: {
    default: null,
    meaning: 'Streaming replicas of that server to read from: a URL with one host or several.',
  },
  TALLYBOOK_SHARDS: {
    default: '1',
    meaning: 'Number of shards, 1 to 1,024. Fixed when the database is created.',
  },
  TALLYBOOK_DP_TOKEN: {
    default: null,
    meaning: 'Fixed token of the role `dp`, 8 to 255 characters. Unset: created on first start.',
  },
  TALLYBOOK_ADMIN_TOKEN: { default: null, meaning: 'The same for the role `admin`.' },
  TALLYBOOK_AUDITOR_TOKEN: {
    default: null,
    meaning: 'The same for the role `auditor`; `tallybook audit` presents it, too.',
  },
  TALLYBOOK_BODY_LIMIT_BYTES: {
    default: String(16 * 1024 * 1024),
    meaning: 'Largest request body, before and after decompression.',
  },
  // Longer than the 60 s of common balancers: the one that closes first must not be the server.
  TALLYBOOK_IDLE_TIMEOUT_SECONDS: {
    default: '90',
    meaning:
      'Closes a connection without a request after this time, 5 to 255. Set it higher than the ' +
      'idle timeout of the load balancer in front.',
  },
  TALLYBOOK_UNKNOWN_KEYS: {
    default: 'ignore',
    meaning:
      '`register`: flushes add the keys that they name and that are unknown to the catalog. ' +
      '`ignore`: entries for unknown keys count nothing.',
  },
  TALLYBOOK_REGISTER_PER_DAY: {
    default: '10000',
    meaning:
      'Unknown keys that all instances together register in a day (UTC), up to 1,000,000. ' +
      'Entries for others count nothing.',
  },
  TALLYBOOK_COUNTED_AT_DAYS: {
    default: '35',
    meaning: 'How many days ago a flush may state that it was counted, up to 3,650.',
  },
  TALLYBOOK_USAGE_QUARTERS_DAYS: {
    default: null,
    meaning:
      'For how many days usage is kept by quarter hours, 62 to 3,650; what is older is kept by ' +
      'days of UTC ([guide](../guides/usage-by-days.md)). Unset: all of it.',
  },
  TALLYBOOK_USAGE_DAYS_MONTHS: {
    default: null,
    meaning:
      'For how many months usage is kept by days, 3 to 120; what is older is kept by months of ' +
      'UTC ([guide](../guides/usage-by-days.md)). Needs `TALLYBOOK_USAGE_QUARTERS_DAYS`. Unset: ' +
      'all of them.',
  },
  TALLYBOOK_DIMENSION_VALUES: {
    default: '1000',
    meaning:
      'Distinct values of a dimension that a shard counts in a day (UTC), 1 to 10,000. Others ' +
      'count as `other`.',
  },
  TALLYBOOK_SEGMENT_MB: {
    default: '1024',
    meaning: 'About how large a segment of the log becomes, in MiB, up to 65,536.',
  },
  TALLYBOOK_ARCHIVE_URL: {
    default: null,
    meaning:
      'Where old segments of the log go: `file:///directory` or `s3://bucket/prefix`, with the ' +
      '`S3_*` or `AWS_*` variables that Bun reads. Unset: nowhere.',
  },
  TALLYBOOK_KEEP_DAYS: {
    default: null,
    meaning:
      'For how many days the database keeps flushes that the archive has, 1 to 36,500. Unset: ' +
      'forever; then the archive only has copies.',
  },
  TALLYBOOK_ARCHIVE_CACHE_MB: {
    default: '1024',
    meaning: 'How much of what was read from the archive is kept on disk, in MiB, up to 1,048,576.',
  },
  TALLYBOOK_UNKNOWN_TOKENS: {
    default: '30',
    meaning: 'Unknown tokens that one address may present in a minute.',
  },
  // One event to so many takes the main thread 150 ms, so at one event a second each client gets
  // it and requests are still served. Measured in docs/measurements/scale.md.
  TALLYBOOK_MAX_SUBSCRIBERS: {
    default: '5000',
    meaning: 'Live streams of the log that may be open at once.',
  },
  TALLYBOOK_MAX_FOLLOWERS: {
    default: null,
    meaning: 'Old name of `TALLYBOOK_MAX_SUBSCRIBERS`, from versions before 0.2.',
  },
  TALLYBOOK_METRICS_TOKEN: {
    default: null,
    meaning: 'Token that `/metrics` requires. Unset: `/metrics` needs none.',
  },
  TALLYBOOK_METRICS_ADDRESS: {
    default: null,
    meaning: 'Serves `/metrics` on this `host:port` instead of alongside all other routes.',
  },
  TALLYBOOK_LOG_ORIGIN: {
    default: null,
    meaning:
      'Name of the transparency log, such as `stats.example.com`. Unset: generated on first start.',
  },
  TALLYBOOK_LOG_KEYS: {
    default: null,
    meaning:
      'File with the signing keys of that log, for instances that share them. Unset: in the data ' +
      'directory, created on first start.',
  },
  TALLYBOOK_LOG_PUBLIC: {
    default: 'false',
    meaning: '`true`: the transparency log needs no token.',
  },
  TALLYBOOK_ATTEST_MINUTES: {
    default: '60',
    meaning: 'Minutes between attestations of the projections, up to 10,080; 0: on demand only.',
  },
  TALLYBOOK_VERIFY_AT: {
    default: null,
    meaning: 'Time of day, `HH:MM` in UTC, of a nightly integrity check. Unset: none.',
  },
  TALLYBOOK_SLOW_REQUEST_MS: {
    default: null,
    meaning: 'Logs requests that take this long, in milliseconds, up to 60,000. Unset: none.',
  },
  TALLYBOOK_LOG_LEVEL: {
    default: 'info',
    meaning: '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`.',
  },
} as const satisfies Record<string, Variable>

/** Name of an environment variable that the service reads. */
export type VariableName = keyof typeof VARIABLES
