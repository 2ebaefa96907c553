import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { askForTls } from '../../src/platform/postgres/connection/tls.ts'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded/index.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { copyCluster } from './cluster.ts'
import { freePort } from './free-port.ts'
import { listenLocally } from './sockets.ts'

export const hasOpenssl = Bun.which('openssl') !== null
/** The password in every URL. */
export const PASSWORD = 'pässword &?/#1'

/** A PostgreSQL that listens on 127.0.0.1 with TLS and authenticates users by SCRAM. */
export type TlsServer = {
  port: number
  /** The CA that signed its certificate, another CA, and a certificate of the user `tallybook`. */
  ca: string
  otherCa: string
  cert: string
  /** The key of `cert`, and the same key encrypted with PASSWORD. */
  key: string
  lockedKey: string
  /** A revocation list that contains the server's certificate, and one that doesn't. */
  crl: string
  emptyCrl: string
  /** Returns a URL of its database with these parameters. */
  url(parameters: string, options?: { host?: string; user?: string }): string
  /** Changes settings of the server, or the lines of its pg_hba.conf, and reloads them. */
  set(settings: Record<string, string>): Promise<void>
  letIn(...lines: string[]): Promise<void>
  end(): Promise<void>
}

/** Starts a server with a certificate for `localhost`, signed by its own CA with this digest. */
export async function startTlsServer(digest = 'sha256'): Promise<TlsServer> {
  const root = mkdtempSync(join(tmpdir(), 'tb-tls-'))
  chmodSync(root, 0o711)
  const file = (name: string) => join(root, name)
  makeCertificates(root, digest)
  const dataDir = file('data')
  await copyCluster(dataDir)
  const cluster = join(dataDir, 'postgres')
  const port = await freePort()
  const { uid, gid } = statSync(cluster)
  for (const name of ['server.crt', 'server.key', 'ca.crt']) chownSync(file(name), uid, gid)
  appendFileSync(
    join(cluster, 'postgresql.auto.conf'),
    [
      `listen_addresses = '127.0.0.1'`,
      `port = ${port}`,
      'ssl = on',
      `ssl_cert_file = '${file('server.crt')}'`,
      `ssl_key_file = '${file('server.key')}'`,
      `ssl_ca_file = '${file('ca.crt')}'`,
      '',
    ].join('\n'),
  )
  const server = await startEmbeddedPostgres({ dataDir, log: () => {} })
  const run = async (...statements: string[]) => {
    const owner = connectAsOwner({ ...server.address, port })
    for (const statement of statements) await owner.unsafe(statement)
    await owner.end()
  }
  const letIn = async (...lines: string[]) => {
    const all = ['local all all trust', ...lines]
    writeFileSync(join(cluster, 'pg_hba.conf'), `${all.join('\n')}\n`)
    await run('select pg_reload_conf()')
  }
  await run(`alter role tallybook password '${PASSWORD}'`)
  await letIn('host all all all scram-sha-256')
  return {
    ...{ port, ca: file('ca.crt'), otherCa: file('other.crt') },
    ...{ cert: file('client.crt'), key: file('client.key'), lockedKey: file('locked.key') },
    ...{ crl: file('revoked.crl'), emptyCrl: file('empty.crl') },
    url: (parameters, { host = 'localhost', user = 'tallybook' } = {}) =>
      `postgres://${user}:${encodeURIComponent(PASSWORD)}@${host}:${port}/tallybook?${parameters}`,
    set: (settings) =>
      run(
        ...Object.entries(settings).map(([name, value]) => `alter system set ${name} = ${value}`),
        'select pg_reload_conf()',
      ),
    letIn,
    end: async () => {
      await server.stop()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** A man in the middle, which has the user's certificate and forwards everything. */
export async function startTlsProxy(server: TlsServer): Promise<{ port: number; close(): void }> {
  const [key, cert] = [server.key, server.cert].map((path) => readFileSync(path))
  const terminator = tls.createServer({ key: key!, cert: cert! }, async (client) => {
    client.on('error', () => {})
    const upstream = net.connect(server.port, '127.0.0.1')
    upstream.on('error', () => {})
    await new Promise((resolve) => upstream.once('connect', resolve))
    if (!(await askForTls(upstream))) throw new Error('the server has no TLS')
    const secured = tls.connect({ socket: upstream, rejectUnauthorized: false })
    secured.on('error', () => client.destroy())
    secured.pipe(client).pipe(secured)
  })
  const inner = await listenLocally(terminator)
  const listener = net.createServer((client) => {
    client.on('error', () => {})
    client.once('data', () => {
      const forward = net.connect(inner, '127.0.0.1')
      forward.on('error', () => client.destroy())
      client.pipe(forward).pipe(client)
      client.write('S')
    })
  })
  const port = await listenLocally(listener)
  return {
    port,
    close: () => {
      listener.close()
      terminator.close()
    },
  }
}

function makeCertificates(root: string, digest: string): void {
  const openssl = (...args: string[]) => {
    const { success, stderr } = Bun.spawnSync(['openssl', ...args], { cwd: root })
    if (!success) throw new Error(stderr.toString())
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  for (const ca of ['ca', 'other']) {
    openssl(
      ...['req', '-x509', ...newKey, '-keyout', `${ca}.key`, '-out', `${ca}.crt`],
      ...['-subj', `/CN=${ca}`, '-days', '2'],
    )
  }
  writeFileSync(join(root, 'names'), 'subjectAltName=DNS:localhost')
  for (const [name, subject] of [
    ['server', '/CN=localhost'],
    ['client', '/CN=tallybook'],
  ]) {
    openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject!)
    openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key'],
      ...[
        '-CAcreateserial',
        '-out',
        `${name}.crt`,
        '-days',
        '2',
        '-extfile',
        'names',
        `-${digest}`,
      ],
    )
  }
  openssl(
    ...['pkey', '-in', 'client.key', '-aes256', '-passout', `pass:${PASSWORD}`],
    ...['-out', 'locked.key'],
  )
  const ca = [
    'database = index',
    'crlnumber = number',
    'default_md = sha256',
    'default_crl_days = 2',
  ]
  const signer = ['certificate = ca.crt', 'private_key = ca.key']
  writeFileSync(join(root, 'ca'), ['[ca]', 'default_ca = d', '[d]', ...ca, ...signer].join('\n'))
  writeFileSync(join(root, 'index'), '')
  writeFileSync(join(root, 'number'), '01')
  openssl('ca', '-config', 'ca', '-gencrl', '-out', 'empty.crl')
  openssl('ca', '-config', 'ca', '-revoke', 'server.crt')
  openssl('ca', '-config', 'ca', '-gencrl', '-out', 'revoked.crl')
}
