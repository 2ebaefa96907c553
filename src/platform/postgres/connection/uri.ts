/** A problem of a URL or of an environment variable. */
export type Problem = {
  /** The environment variable; null for the one that holds the URL. */
  variable: string | null
  /** The rest of a sentence that begins with the variable's name. Contains no secret of the URL. */
  message: string
}

/** The parameters of a URL by libpq's names. The parts before the `?` are parameters too. */
export type Parameters = ReadonlyMap<string, string>

const FORM =
  'must be postgres://user:password@host:port/database, with special characters of user and ' +
  'password percent-encoded'

/** The URL can't be parsed. The message doesn't contain the URL. */
class Unreadable extends Error {}

/**
 * Parses a URL as libpq does: the user ends at the first `@`, hosts are separated by commas, a `+`
 * is a plus, and a parameter overrides the corresponding part before the `?`.
 */
export function readUri(text: string): Parameters | Problem {
  try {
    return readParts(text)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return { variable: null, message: `${FORM} (${error.message}).` }
  }
}

// postgres://user:password@host-1:5432,[::1]:5433,%2Frun%2Fpostgresql/database?sslmode=require
function readParts(text: string): Parameters {
  const scheme = /^postgres(?:ql)?:\/\//i.exec(text)
  if (!scheme) throw new Unreadable('it does not start with postgres://')
  const parameters = new Map<string, string>()
  const put = (name: string, raw: string, what: string) => {
    const value = decode(raw, what)
    if (value !== '') parameters.set(name, value)
  }
  const { user, password, rest } = cutUser(text.slice(scheme[0].length))
  put('user', user, 'the user')
  put('password', password, 'the password')
  const end = rest.search(/[/?]/)
  const servers = end < 0 ? rest : rest.slice(0, end)
  const { hosts, ports } = cutServers(servers)
  if (hosts.some((host) => host !== '')) put('host', hosts.join(','), 'a host')
  if (ports.some((port) => port !== '')) put('port', ports.join(','), 'a port')
  const [, path, query] = /^(?:\/([^?]*))?(?:\?(.*))?$/s.exec(end < 0 ? '' : rest.slice(end))!
  put('dbname', path ?? '', 'the database')
  for (const pair of (query ?? '') === '' ? [] : query!.split('&')) {
    const [name, value, more] = pair.split('=')
    if (value === undefined) throw new Unreadable('a parameter has no =')
    if (more !== undefined) throw new Unreadable('a parameter has more than one =')
    const decoded = decode(name!, "a parameter's name")
    // JDBC's form of sslmode=require, which libpq accepts too.
    if (decoded === 'ssl' && value === 'true') parameters.set('sslmode', 'require')
    else put(decoded, value, 'a parameter')
  }
  return parameters
}

function cutUser(text: string): { user: string; password: string; rest: string } {
  const at = /^([^@/]*)@/.exec(text)
  if (!at) return { user: '', password: '', rest: text }
  const colon = at[1]!.indexOf(':')
  return {
    user: colon < 0 ? at[1]! : at[1]!.slice(0, colon),
    password: colon < 0 ? '' : at[1]!.slice(colon + 1),
    rest: text.slice(at[0].length),
  }
}

function cutServers(text: string): { hosts: string[]; ports: string[] } {
  const hosts: string[] = []
  const ports: string[] = []
  for (const server of text.split(',')) {
    const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(.*))?$/.exec(server)
    if (!match) throw new Unreadable('an address in brackets is empty, or has no closing bracket')
    hosts.push(match[1] ?? match[2]!)
    ports.push(match[3] ?? '')
  }
  return { hosts, ports }
}

function decode(text: string, what: string): string {
  try {
    const value = decodeURIComponent(text)
    if (!value.includes('\0')) return value
  } catch {}
  throw new Unreadable(`${what} has an invalid percent-encoding`)
}

/** Returns one URL per server, each with all other parameters. */
export function writeUris(parameters: Parameters): string[] {
  const list = (name: string) => parameters.get(name)?.split(',') ?? []
  const [hosts, addresses, ports] = [list('host'), list('hostaddr'), list('port')]
  const rest = [...parameters].filter(([name]) => !SERVER_PARAMETERS.has(name))
  return Array.from({ length: Math.max(hosts.length, addresses.length, 1) }, (_, i) => {
    const server = { hostaddr: addresses[i] ?? '' }
    const query = [...Object.entries(server), ...rest]
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    const port = ports.length === 1 ? ports[0]! : (ports[i] ?? '')
    const place = `${writeHost(hosts[i] ?? '')}${port === '' ? '' : `:${port}`}`
    const database = encodeURIComponent(parameters.get('dbname') ?? '')
    const mark = query.length === 0 ? '' : `?${query.join('&')}`
    return `postgres://${writeUser(parameters)}${place}/${database}${mark}`
  })
}

const SERVER_PARAMETERS = new Set(['user', 'password', 'host', 'hostaddr', 'port', 'dbname'])

function writeUser(parameters: Parameters): string {
  const [user, password] = ['user', 'password'].map((name) =>
    encodeURIComponent(parameters.get(name) ?? ''),
  )
  if (user === '' && password === '') return ''
  return `${user}${password === '' ? '' : `:${password}`}@`
}

const writeHost = (host: string) => (host.includes(':') ? `[${host}]` : encodeURIComponent(host))
