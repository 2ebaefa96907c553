import type { Parameters, Problem } from './uri.ts'

/** The rule for a parameter of libpq. */
type Rule = {
  /** The environment variable that applies if the URL doesn't set the parameter. */
  env?: string
  /** The allowed values; if absent, any value. */
  values?: readonly string[]
  /** A test for the value, and the description of allowed values. */
  must?: { be: string; test: (value: string) => boolean }
  /** Advice for users of this unsupported parameter. `values` have no effect and pass. */
  instead?: string
}

const SWITCH = ['0', '1']
/** libpq's names of authentication methods. */
const METHODS = ['password', 'md5', 'gss', 'sspi', 'scram-sha-256', 'oauth', 'none']
const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']
const SILENCE = 'leave it out; the service itself detects and closes silent connections'
const NO_GSS = 'leave it out, and authenticate with a password or a certificate'
const NO_SERVICE = 'put the settings of the service file into the URL'
const NO_KEY = 'put the password into the URL, or into PGPASSWORD'

/** Every parameter that libpq knows, up to PostgreSQL 18. */
const RULES: Record<string, Rule> = {
  host: { env: 'PGHOST' },
  hostaddr: { env: 'PGHOSTADDR' },
  port: { env: 'PGPORT' },
  dbname: { env: 'PGDATABASE' },
  user: { env: 'PGUSER' },
  password: { env: 'PGPASSWORD' },
  passfile: { instead: NO_KEY },
  require_auth: {
    env: 'PGREQUIREAUTH',
    must: {
      be: `a list of methods (${METHODS.join(', ')}), either all or none of them with a !`,
      test: isAuthList,
    },
  },
  channel_binding: { env: 'PGCHANNELBINDING', values: ['disable', 'prefer', 'require'] },
  connect_timeout: { env: 'PGCONNECT_TIMEOUT', must: seconds(1, 600) },
  client_encoding: {
    must: { be: 'UTF8', test: (value) => /^(utf-?8|unicode|auto)$/i.test(value) },
  },
  options: { env: 'PGOPTIONS' },
  application_name: { env: 'PGAPPNAME' },
  fallback_application_name: {},
  keepalives: { values: SWITCH },
  keepalives_idle: { must: seconds(0, 86_400) },
  keepalives_interval: { values: ['0'], instead: SILENCE },
  keepalives_count: { values: ['0'], instead: SILENCE },
  tcp_user_timeout: { values: ['0'], instead: SILENCE },
  replication: { values: ['false', 'off', 'no', '0'], instead: 'leave it out' },
  gssencmode: { values: ['disable', 'prefer'], instead: 'use TLS (sslmode) for encryption' },
  sslmode: {
    env: 'PGSSLMODE',
    values: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
  },
  sslnegotiation: { env: 'PGSSLNEGOTIATION', values: ['postgres', 'direct'] },
  sslcompression: { values: SWITCH },
  sslcert: { env: 'PGSSLCERT' },
  sslkey: { env: 'PGSSLKEY' },
  sslpassword: {},
  sslcertmode: {
    env: 'PGSSLCERTMODE',
    values: ['disable', 'allow'],
    instead: 'use disable or allow',
  },
  sslrootcert: { env: 'PGSSLROOTCERT' },
  sslcrl: { env: 'PGSSLCRL' },
  sslcrldir: { instead: 'put all revocation lists into one file, and name it in sslcrl' },
  sslsni: { env: 'PGSSLSNI', values: SWITCH },
  sslkeylogfile: { instead: 'leave it out; session keys are never written to a file' },
  requirepeer: { instead: 'leave it out; only the directory of the socket identifies the server' },
  ssl_min_protocol_version: { env: 'PGSSLMINPROTOCOLVERSION', values: VERSIONS },
  ssl_max_protocol_version: { env: 'PGSSLMAXPROTOCOLVERSION', values: VERSIONS },
  min_protocol_version: { values: ['3.0'], instead: 'leave it out; the service uses version 3.0' },
  max_protocol_version: { values: ['3.0', '3.2', 'latest'] },
  krbsrvname: { instead: NO_GSS },
  gsslib: { instead: NO_GSS },
  gssdelegation: { values: ['0'], instead: NO_GSS },
  scram_client_key: { instead: NO_KEY },
  scram_server_key: { instead: NO_KEY },
  service: { instead: NO_SERVICE },
  servicefile: { instead: NO_SERVICE },
  target_session_attrs: {
    env: 'PGTARGETSESSIONATTRS',
    values: ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'],
  },
  load_balance_hosts: { env: 'PGLOADBALANCEHOSTS', values: ['disable', 'random'] },
  oauth_issuer: { instead: NO_GSS },
  oauth_client_id: { instead: NO_GSS },
  oauth_client_secret: { instead: NO_GSS },
  oauth_scope: { instead: NO_GSS },
}

/** Combines the parameters of a URL with the environment. Returns them with their problems. */
export function readParameters(
  given: Parameters,
  env: Record<string, string | undefined>,
): { parameters: Map<string, string>; problems: Problem[] } {
  const parameters = new Map(given)
  const unknown = [...given.keys()].filter((name) => !Object.hasOwn(RULES, name))
  const problems = unknown.length === 0 ? [] : [refuseUnknown(unknown)]
  for (const [name, rule] of Object.entries(RULES)) {
    const variable = rule.env ?? ''
    const fromEnv = given.has(name) ? '' : (env[variable] ?? '')
    if (fromEnv !== '') parameters.set(name, fromEnv)
    const value = parameters.get(name)
    const violation = value === undefined ? null : evaluate(rule, value)
    if (violation === null) continue
    if (fromEnv !== '') problems.push({ variable, message: `${violation}.` })
    else problems.push({ variable: null, message: `has ${name}, which ${violation}.` })
  }
  return { parameters, problems }
}

function refuseUnknown(names: string[]): Problem {
  // A text that isn't a name may be part of a password.
  const shown = names.map((name) => (/^\w{1,40}$/.test(name) ? name : 'something'))
  const [what, it] = [shown.join(' and '), names.length > 1 ? 'them' : 'it']
  return {
    variable: null,
    message: `has ${what}, which PostgreSQL's own clients don't know: leave ${it} out.`,
  }
}

/** Returns what is wrong with the value of a parameter, or null if nothing is. */
function evaluate({ values, must, instead }: Rule, value: string): string | null {
  if (must) return must.test(value) ? null : `must be ${must.be}`
  if (values?.includes(value)) return null
  if (instead !== undefined)
    return `is not supported${values ? ' with this value' : ''}: ${instead}`
  return values ? `must be one of ${values.join(', ')}` : null
}

function seconds(from: number, to: number) {
  const test = (value: string) =>
    /^\d{1,6}$/.test(value) && Number(value) >= from && Number(value) <= to
  return { be: `a whole number of seconds from ${from} to ${to}`, test }
}

function isAuthList(value: string): boolean {
  const items = value.split(',').map((item) => item.trim())
  const isNegative = items[0]!.startsWith('!')
  return items.every(
    (item) => item.startsWith('!') === isNegative && METHODS.includes(item.replace('!', '')),
  )
}
