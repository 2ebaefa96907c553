import { SESSION_COLUMNS } from './session.ts'

/**
 * Settings of every connection, whatever the defaults of the database, role or pooler: how values
 * are formatted, and no timeouts.
 */
export const PINNED = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  // Citus reports a lost result by a warning.
  client_min_messages: 'warning',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  backslash_quote: 'safe_encoding',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  row_security: 'on',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
}

/** A commit is flushed to disk before it returns. A stricter setting of the server stays. */
const DURABLE = `set_config('synchronous_commit',
  case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end,
  false)`

/**
 * By default the server replans the insert of append_batch on each call, which takes 0.3 ms of 0.7.
 * The function reads this setting. If the coordinator of Citus runs it, the plan needs the values.
 */
const PLANS = `set_config('tallybook.plan_cache_mode', case when exists (select from pg_extension
  where extname = 'citus') then 'auto' else 'force_generic_plan' end, false)`

/**
 * The OIDs of the types that the service uses and of their array types, which are built in and
 * never change. Without this list the driver queries all types in each session.
 */
const ARRAY_TYPES = {
  bool: [16, 1000],
  bytea: [17, 1001],
  int8: [20, 1016],
  int2: [21, 1005],
  int4: [23, 1007],
  text: [25, 1009],
  json: [114, 199],
  float8: [701, 1022],
  timestamptz: [1184, 1185],
  numeric: [1700, 1231],
} as const

const ARRAYS = JSON.stringify(
  Object.values(ARRAY_TYPES).map(([oid, typarray]) => ({ oid, typarray })),
)

/**
 * Returns the first statement of a session. If a setting can't be applied, the statement fails, and
 * the connection with it.
 */
export function setupStatement(settings: Record<string, string>): string {
  const quote = (text: string) => `'${text.replaceAll("'", "''")}'`
  const calls = Object.entries({ ...PINNED, ...settings }).map(
    ([name, value]) => `set_config(${quote(name)}, ${quote(value)}, false)`,
  )
  const sets = [DURABLE, PLANS, ...calls].join(', ')
  return `select pg_backend_pid() as pid, '${ARRAYS}'::json as arrays, ${sets}, ${SESSION_COLUMNS}`
}
