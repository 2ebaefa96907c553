import { expect, test } from 'bun:test'
import {
  findUrlProblems,
  readTarget,
  splitServers,
} from '../../../../src/platform/postgres/connection/target.ts'

// How libpq reads a URL, or why the URL is refused. The cases come from libpq's own tests
// (test_uri_regress) and from providers' documentation.

const ENV = { USER: 'not-used', PGUSER: 'me' }

/** Formats a URL's target as user:password@endpoints/database and all that is not a default. */
function read(url: string, env: Record<string, string> = ENV): string {
  const target = readTarget(url, env)
  if (Array.isArray(target))
    return target.map(({ variable, message }) => `${variable ?? '-'} ${message}`).join(' ')
  const { user, password, endpoints, database, sslmode, attributes, channelBinding } = target
  const servers = endpoints.map((endpoint) => {
    if ('directory' in endpoint) return `${endpoint.directory}:${endpoint.port}`
    const { host, address, port } = endpoint
    return `${host}${address === host ? '' : `=${address}`}:${port}`
  })
  const more = [
    ...(sslmode === 'prefer' ? [] : [sslmode]),
    ...(attributes === 'any' ? [] : [attributes]),
    ...(channelBinding === 'prefer' ? [] : [`channel_binding=${channelBinding}`]),
    ...(target.isBalanced ? ['random'] : []),
  ]
  return [`${user}:${password}@${servers.join(',')}/${database}`, ...more].join(' ')
}

test.each([
  // Each component, present and empty.
  ['postgresql://uri-user:secret@host:12345/db', 'uri-user:secret@host:12345/db'],
  ['postgres://uri-user@host/db', 'uri-user:@host:5432/db'],
  ['postgresql://host/', 'me:@host:5432/me'],
  ['postgresql://host', 'me:@host:5432/me'],
  ['postgresql://@host', 'me:@host:5432/me'],
  ['postgresql://host:/', 'me:@host:5432/me'],
  ['postgresql://host/db?', 'me:@host:5432/db'],
  ['POSTGRES://host/db', 'me:@host:5432/db'],
  ['postgresql://u:@host/db', 'u:@host:5432/db'],
  // Percent-encoding; a plus stays a plus.
  ['postgresql://uri-%75ser:p%40%2F%3A%23@h/d%20b', 'uri-user:p@/:#@h:5432/d b'],
  ['postgresql://u:a+b?c#d@h/db', 'u:a+b?c#d@h:5432/db'],
  // Addresses.
  ['postgresql://[2001:db8::1]:5433/db', 'me:@2001:db8::1:5433/db'],
  ['postgresql://[::1]', 'me:@::1:5432/me'],
  ['postgresql://host/db?hostaddr=10.0.0.7', 'me:@host=10.0.0.7:5432/db'],
  ['postgresql:///db?hostaddr=10.0.0.7', 'me:@10.0.0.7:5432/db'],
  // Sockets.
  ['postgresql:///db?host=/var/run/postgresql', 'me:@/var/run/postgresql:5432/db'],
  ['postgresql://%2Fvar%2Flib%2Fpg:5433/db', 'me:@/var/lib/pg:5433/db'],
  [
    'postgresql://user@/db?host=/cloudsql/p:europe-west1:i',
    'user:@/cloudsql/p:europe-west1:i:5432/db',
  ],
  // A parameter overrides the component before it.
  ['postgresql://a:b@h:1/c?host=i&port=2&user=d&password=e&dbname=f', 'd:e@i:2/f'],
  // Several hosts.
  ['postgresql://one:1,two,[::3]:3/db', 'me:@one:1,two:5432,::3:3/db read-write'],
  ['postgresql://one,two:2/db?target_session_attrs=any', 'me:@one:5432,two:2/db'],
  ['postgresql:///db?host=one,two&port=7', 'me:@one:7,two:7/db read-write'],
  ['postgresql:///db?host=one,/run&port=7,8', 'me:@one:7,/run:8/db read-write'],
  ['postgresql://h/db?target_session_attrs=primary', 'me:@h:5432/db primary'],
  ['postgresql://h,i/db?load_balance_hosts=random', 'me:@h:5432,i:5432/db read-write random'],
  // From providers' documentation.
  [
    'postgresql://u:p@ep-x-pooler.eu.aws.neon.tech/db?sslmode=require&channel_binding=require',
    'u:p@ep-x-pooler.eu.aws.neon.tech:5432/db require channel_binding=require',
  ],
  [
    'postgres://u:p@h.rds.amazonaws.com:5432/db?sslmode=verify-full&sslrootcert=system',
    'u:p@h.rds.amazonaws.com:5432/db verify-full',
  ],
  [
    'postgres://u%40server:p@server.postgres.database.azure.com/db?sslmode=require',
    'u@server:p@server.postgres.database.azure.com:5432/db require',
  ],
  ['postgres://u:p@h/db?ssl=true', 'u:p@h:5432/db require'],
  // Parameters without an effect here.
  ['postgres://h/db?gssencmode=disable&sslcompression=0&client_encoding=UTF8', 'me:@h:5432/db'],
])('%s is read as libpq reads it', (url, expected) => {
  expect(read(url)).toBe(expected)
})

test.each([
  ['mysql://u:s3cr@h/db', 'must be postgres://'],
  ['host=h dbname=db', 'must be postgres://'],
  ['postgres://u:s3cr%zz@h/db', 'must be postgres://'],
  ['postgres://u:s3cr%00@h/db', 'must be postgres://'],
  ['postgres://u:s3cr#t/pw@h/db', 'a port from 1 to 65535'],
  ['postgres://u:s3cr@x@h/db', 'an invalid host name'],
  ['postgres://h:0/db', 'a port from 1 to 65535'],
  ['postgres://h:65536/db', 'a port from 1 to 65535'],
  ['postgres://[::1/db', 'in brackets'],
  ['postgres://[]/db', 'in brackets'],
  ['postgres://h/db?sslmode', 'has no ='],
  ['postgres://h/db?a=b=c', 'more than one ='],
  ['postgres:///db?host=one,two&port=1,2,3', 'as many ports as hosts'],
  ['postgres:///db?host=one,two&hostaddr=10.0.0.1', 'as many values in hostaddr'],
  ['postgres://h/db?sslmode=on', 'sslmode, which must be one of disable,'],
  ['postgres://h/db?target_session_attrs=writable', 'target_session_attrs, which must be one of'],
  ['postgres://h/db?connect_timeout=0', 'connect_timeout, which must be'],
  ['postgres://h/db?client_encoding=LATIN1', 'client_encoding, which must be UTF8'],
  ['postgres://h/db?require_auth=md5,!none', 'require_auth, which must be a list of'],
  ['postgres://h/db?sslmode=verify-ca', 'needs the certificate of the CA in sslrootcert'],
  ['postgres://h/db?sslmode=verify-ca&sslrootcert=/nowhere/ca', "file /nowhere/ca can't be read"],
  ['postgres://h/db?sslmode=require&sslrootcert=system', 'needs sslmode=verify-full'],
  ['postgres://h/db?sslnegotiation=direct', 'needs sslmode=require'],
  ['postgres://h/db?sslcert=/etc/passwd', 'has sslcert, which needs sslkey'],
  // Not supported; the message names each.
  ...[
    ...['passfile=x', 'service=x', 'servicefile=x', 'requirepeer=x', 'sslcrldir=x'],
    ...['sslkeylogfile=x', 'sslcertmode=require', 'gssencmode=require', 'krbsrvname=x'],
    ...['gsslib=x', 'gssdelegation=1', 'replication=database', 'keepalives_interval=5'],
    ...['keepalives_count=5', 'tcp_user_timeout=5', 'min_protocol_version=3.2'],
    ...['scram_client_key=x', 'scram_server_key=x', 'oauth_issuer=x', 'oauth_client_id=x'],
    ...['oauth_client_secret=x', 'oauth_scope=x'],
  ].map((pair) => [`postgres://h/db?${pair}`, `has ${pair.split('=')[0]}, which is not supported`]),
  // Known to other programs only.
  ...['pgbouncer', 'connection_limit', 'pool_timeout', 'schema', 'sslaccept', 'prepare'].map(
    (name) => [`postgres://h/db?${name}=1`, `has ${name}, which PostgreSQL's own clients don't`],
  ),
])('%s is refused with the reason', (url, expected) => {
  const sentences = findUrlProblems('DATABASE_URL', url!, ENV, { mustWrite: true })
  expect(sentences.join(' ')).toContain(expected!)
  expect(sentences.join(' ')).not.toContain('s3cr')
  for (const sentence of sentences) expect(sentence).toMatch(/^DATABASE_URL .*\.$/)
})

test('all problems of a URL are reported at once', () => {
  const url = 'postgres://h/db?pgbouncer=true&connection_limit=5&sslmode=on&passfile=x'
  const sentences = findUrlProblems('DATABASE_URL', url, ENV, { mustWrite: true })
  expect(sentences).toMatchSnapshot()
})

test('an environment variable supplies what the URL lacks, and errors name it', () => {
  const env = { PGHOST: 'h', PGPORT: '7', PGUSER: 'u', PGPASSWORD: 'p', PGDATABASE: 'd' }
  expect(read('postgres://', env)).toBe('u:p@h:7/d')
  expect(read('postgres://x@y:1/z', env)).toBe('x:p@y:1/z')
  expect(read('postgres://h', { ...ENV, PGSSLMODE: 'require' })).toBe('me:@h:5432/me require')
  expect(read('postgres://h', { ...ENV, PGSSLMODE: 'on' })).toStartWith('PGSSLMODE must be one of')
})

test('DATABASE_URL must lead to a writable server', () => {
  const url = 'postgres://h,i/db?target_session_attrs=standby'
  const refused = findUrlProblems('DATABASE_URL', url, ENV, { mustWrite: true })
  expect(refused.join()).toContain('the service must write')
  expect(findUrlProblems('DATABASE_READ_URL', url, ENV, { mustWrite: false })).toEqual([])
})

test('a URL of several servers splits into one URL each, with the same other parameters', () => {
  const split = (url: string) => splitServers(url).map((one) => read(one))
  expect(split('postgres://u:p%40@one:1,[::2]:2,%2Frun/db?sslmode=require')).toEqual([
    'u:p@@one:1/db require',
    'u:p@@::2:2/db require',
    'u:p@@/run:5432/db require',
  ])
  expect(split('postgres://u@/db?host=one,two&hostaddr=10.0.0.1,10.0.0.2&port=7')).toEqual([
    'u:@one=10.0.0.1:7/db',
    'u:@two=10.0.0.2:7/db',
  ])
})

test('the startup message contains the URL’s session parameters only', () => {
  const startup = (url: string) => {
    const target = readTarget(url, ENV)
    return Array.isArray(target) ? null : target.startup
  }
  expect(startup('postgres://h/db')).toEqual({ application_name: 'tallybook' })
  expect(startup('postgres://h/db?fallback_application_name=f')).toEqual({ application_name: 'f' })
  expect(startup('postgres://h/db?application_name=a&options=-c%20geqo%3Doff')).toEqual({
    application_name: 'a',
    options: '-c geqo=off',
  })
})
