import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { UserError } from '../../user-error.ts'
import type { ServerAddress } from '../sql.ts'
import { readParameters } from './parameters.ts'
import type { SessionAttributes } from './session.ts'
import type { TlsSettings } from './tls.ts'
import { type Problem, readUri, writeUris } from './uri.ts'

/** A server: the directory of its socket, or a host name with the address to connect to. */
export type Endpoint = { directory: string; port: number } | NamedEndpoint
type NamedEndpoint = { host: string; address: string; port: number }

/** The servers of a database, and libpq's connection parameters. */
export type Target = {
  /** At least one, in the order in which they are tried. */
  endpoints: Endpoint[]
  /** True to try the servers in random order. */
  isBalanced: boolean
  user: string
  password: string
  database: string
  sslmode: string
  tls: TlsSettings
  attributes: SessionAttributes
  channelBinding: string
  /** The authentication methods that are allowed or excluded; null allows all. */
  methods: { names: string[]; areAllowed: boolean } | null
  connectTimeoutMs: number
  /** Seconds after which the system probes an idle connection; null if never. */
  keepAliveSeconds: number | null
  /** Startup parameters other than the user and database. */
  startup: Record<string, string>
}

type Env = Record<string, string | undefined>

/** The default application_name. */
export const APPLICATION = 'tallybook'
const CONNECT_SECONDS = 5
const KEEP_ALIVE_SECONDS = 60

/** Reads a URL and libpq's environment variables. Returns the problems if there are any. */
export function readTarget(url: string, env: Env = process.env): Target | Problem[] {
  const given = readUri(url)
  if ('message' in given) return [given]
  const { parameters, problems } = readParameters(given, env)
  const get = (name: string) => parameters.get(name) ?? ''
  const onProblem = (message: string) => problems.push({ variable: null, message })
  const endpoints = readEndpoints(get, onProblem)
  const user = get('user') || (env.PGUSERNAME ?? '') || ownName(env)
  if (user === '')
    onProblem(
      'names no user, and this process runs as a user without a name: add a user to the URL.',
    )
  const tls = readTls(get, onProblem)
  if (problems.length > 0) return problems
  return {
    ...{ endpoints, user, password: get('password'), database: get('dbname') || user },
    ...{ isBalanced: get('load_balance_hosts') === 'random', ...tls },
    attributes: (get('target_session_attrs') || defaultAttributes(endpoints)) as SessionAttributes,
    channelBinding: get('channel_binding') || 'prefer',
    methods: readMethods(get('require_auth')),
    connectTimeoutMs: 1000 * Number(get('connect_timeout') || CONNECT_SECONDS),
    keepAliveSeconds:
      get('keepalives') === '0' ? null : Number(get('keepalives_idle')) || KEEP_ALIVE_SECONDS,
    startup: {
      application_name: get('application_name') || get('fallback_application_name') || APPLICATION,
      ...(get('options') === '' ? {} : { options: get('options') }),
    },
  }
}

/** Reads an address. Throws UserError if its URL has problems. */
export function targetAt(address: ServerAddress): Target {
  if (!('url' in address)) return targetOf(address)
  const target = readTarget(address.url)
  if (!Array.isArray(target)) return target
  throw new UserError(
    target.map(({ variable, message }) => `${variable ?? 'The URL'} ${message}`).join('\n'),
  )
}

/**
 * Returns the target of an address that is not a URL: a socket directory, or a host that is reached
 * without TLS.
 */
function targetOf(address: Extract<ServerAddress, { host: string }>): Target {
  const { host, port, user, database } = address
  const endpoint = host.startsWith('/') ? { directory: host, port } : { host, address: host, port }
  return {
    ...{
      endpoints: [endpoint],
      isBalanced: false,
      user,
      password: '',
      database,
      sslmode: 'disable',
    },
    ...{ tls: {}, attributes: 'any', channelBinding: 'prefer', methods: null },
    ...{ connectTimeoutMs: 1000 * CONNECT_SECONDS, keepAliveSeconds: KEEP_ALIVE_SECONDS },
    startup: { application_name: APPLICATION },
  }
}

/** Splits a URL into one URL per server. Returns an empty list if the URL can't be read. */
export function splitServers(url: string): string[] {
  const given = readUri(url)
  return 'message' in given ? [] : writeUris(given)
}

/** Returns the problems of a URL, a sentence each. They repeat only parameter names of the URL. */
export function findUrlProblems(
  variable: string,
  url: string,
  env: Env,
  { mustWrite }: { mustWrite: boolean },
): string[] {
  const target = readTarget(url, env)
  if (Array.isArray(target))
    return target.map((problem) => `${problem.variable ?? variable} ${problem.message}`)
  const { attributes } = target
  if (!mustWrite || !['read-only', 'standby', 'prefer-standby'].includes(attributes)) return []
  return [
    `${variable} has target_session_attrs=${attributes}, but the service must write to this ` +
      'database: leave it out, or use read-write.',
  ]
}

type Get = (name: string) => string
type OnProblem = (message: string) => void

function readEndpoints(get: Get, onProblem: OnProblem): Endpoint[] {
  const list = (name: string) => (get(name) === '' ? [] : get(name).split(','))
  const [hosts, addresses, ports] = [list('host'), list('hostaddr'), list('port')]
  const count = Math.max(hosts.length, addresses.length, 1)
  if (hosts.length > 0 && addresses.length > 0 && hosts.length !== addresses.length) {
    onProblem('must have as many values in hostaddr as hosts.')
  }
  if (ports.length > 1 && ports.length !== count)
    onProblem('must have one port, or as many ports as hosts.')
  if (!ports.every((port) => port === '' || isPort(port))) {
    onProblem('must have a port from 1 to 65535. Percent-encode special characters of a password.')
  }
  if (!hosts.every(isHost)) {
    onProblem('has an invalid host name. Percent-encode special characters of a password.')
  }
  return Array.from({ length: count }, (_, i) => {
    const port = Number((ports.length === 1 ? ports[0] : ports[i]) || 5432)
    const host = hosts[i] || addresses[i] || defaultHost(port)
    return host.startsWith('/')
      ? { directory: host, port }
      : { host, address: addresses[i] || host, port }
  })
}

const isPort = (port: string) => /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536

/** Refuses other characters, which are usually part of a password that contains an `@` or a `/`. */
const isHost = (host: string) => host === '' || /^(\/.*|[\p{L}\p{N}._:%~-]+)$/su.test(host)

/** Returns the default host: the directory of a local socket if there is one, else localhost. */
function defaultHost(port: number): string {
  const directories = ['/var/run/postgresql', '/tmp']
  return directories.find((path) => existsSync(`${path}/.s.PGSQL.${port}`)) ?? 'localhost'
}

/** With several servers, the default is the writable one. A single server is accepted as it is. */
const defaultAttributes = (endpoints: Endpoint[]) => (endpoints.length > 1 ? 'read-write' : 'any')

/** Returns the name of this process's user, or '' if it has none; Bun returns "unknown" then. */
function ownName(env: Env): string {
  const uid = String(process.getuid?.() ?? '')
  const lines = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8').split('\n') : []
  const entry = lines.map((line) => line.split(':')).find((fields) => fields[2] === uid)
  return entry?.[0] ?? env.USER ?? env.LOGNAME ?? ''
}

function readMethods(text: string): Target['methods'] {
  if (text === '') return null
  const names = text.split(',').map((name) => name.trim().replace('!', ''))
  return { names, areAllowed: !text.trim().startsWith('!') }
}

function readTls(get: Get, onProblem: OnProblem): Pick<Target, 'sslmode' | 'tls'> {
  const rootcert = get('sslrootcert') || defaultFile('root.crt')
  const isSystem = rootcert === 'system'
  let sslmode = get('sslmode') || (isSystem ? 'verify-full' : 'prefer')
  if (isSystem && sslmode !== 'verify-full') {
    onProblem('has sslrootcert=system, which needs sslmode=verify-full.')
  }
  if (sslmode === 'verify-ca' && rootcert === '') {
    onProblem('has sslmode=verify-ca, which needs the certificate of the CA in sslrootcert.')
  }
  const isDirect = get('sslnegotiation') === 'direct'
  if (isDirect && ['disable', 'allow', 'prefer'].includes(sslmode)) {
    onProblem('has sslnegotiation=direct, which needs sslmode=require or stricter.')
  }
  // As in libpq: if there is a CA certificate, a certificate signed by another CA is refused.
  if (sslmode === 'require' && rootcert !== '') sslmode = 'verify-ca'
  const ownCert =
    get('sslcertmode') === 'disable' ? '' : get('sslcert') || defaultFile('postgresql.crt')
  const files = {
    rootcert: isSystem || !sslmode.startsWith('verify') ? '' : rootcert,
    cert: ownCert,
    key: ownCert === '' ? '' : get('sslkey') || defaultFile('postgresql.key'),
    crl: get('sslcrl') || defaultFile('root.crl'),
  }
  if (files.cert !== '' && files.key === '') onProblem('has sslcert, which needs sslkey too.')
  for (const [name, path] of Object.entries(files)) checkFile(`ssl${name}`, path, onProblem)
  const tls: TlsSettings = {
    ...files,
    password: get('sslpassword'),
    verify: sslmode === 'verify-full' ? 'host' : sslmode === 'verify-ca' ? 'ca' : null,
    isDirect,
    sendsServerName: get('sslsni') !== '0',
    minVersion: get('ssl_min_protocol_version') || 'TLSv1.2',
    maxVersion: get('ssl_max_protocol_version') || 'TLSv1.3',
  }
  return { sslmode, tls }
}

/** Returns libpq's default path of a file, or '' if there is no such file. */
function defaultFile(name: string): string {
  try {
    const path = join(homedir(), '.postgresql', name)
    return existsSync(path) ? path : ''
  } catch {
    return ''
  }
}

function checkFile(name: string, path: string, onProblem: OnProblem): void {
  if (path === '') return
  try {
    readFileSync(path)
  } catch (error) {
    onProblem(
      `has ${name}, whose file ${path} can't be read (${(error as { code?: string }).code}).`,
    )
  }
}
