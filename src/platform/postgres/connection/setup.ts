import { SESSION_COLUMNS } from './session.ts'

/**
 * Of every connection, whatever a database, a role or a pooler has by default: how values are
 * written, and how long it may take.
 */
const PINNED = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
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

/** What is committed is on disk; where a server is set to more than that, more. */
const DURABLE = `set_config('synchronous_commit',
  case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end,
  false)`

/**
 * Left to itself the server plans the insert of append_batch anew each time, 0.3 ms of 0.7. This is
 * a setting for that function. On Citus, where the coordinator runs it, a plan needs the values.
 */
const PLANS = `set_config('tallybook.plan_cache_mode', case when exists (select from pg_extension
  where extname = 'citus') then 'auto' else 'force_generic_plan' end, false)`

/**
 * The array type of each type that the service uses, by their numbers, which are PostgreSQL's own
 * and never change. The driver would ask each session for those of all types.
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
 * The statement that a session begins with. It fails, and the connection with it, where the session
 * can't become what it has to be.
 */
export function setupStatement(settings: Record<string, string>): string {
  const quote = (text: string) => `'${text.replaceAll("'", "''")}'`
  const calls = Object.entries({ ...PINNED, ...settings }).map(
    ([name, value]) => `set_config(${quote(name)}, ${quote(value)}, false)`,
  )
  const sets = [DURABLE, PLANS, ...calls].join(', ')
  return `select pg_backend_pid() as pid, '${ARRAYS}'::json as arrays, ${sets}, ${SESSION_COLUMNS}`
}
