import { readFileSync } from 'node:fs'
import { isIP, type Socket } from 'node:net'
import tls from 'node:tls'
import { Refusal } from './error.ts'

/** How to encrypt a connection, and how to verify the server's certificate. */
export type TlsSettings = {
  /** Paths of files; empty if there is none. */
  rootcert?: string
  cert?: string
  key?: string
  crl?: string
  /** The password of the key. */
  password?: string
  /** `ca`: the certificate must be signed by a trusted CA. `host`: it must also match the host. */
  verify?: 'ca' | 'host' | null
  /** True to start TLS immediately, without PostgreSQL's own request for it. */
  isDirect?: boolean
  /** True to send the host name to the server (SNI). */
  sendsServerName?: boolean
  minVersion?: string
  maxVersion?: string
}

/** SSLRequest: length 8, and the request code 80877103. */
const REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
const YES = 0x53
const NO = 0x4e

/** Asks the server to encrypt. Returns true if it accepts. */
export async function askForTls(socket: Socket): Promise<boolean> {
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Refusal(CLOSED, 'TLS_REFUSED')))
    socket.write(REQUEST)
  })
  // Any further bytes could be injected by a man in the middle, to be taken for encrypted data.
  if (answer.length === 1 && (answer[0] === YES || answer[0] === NO)) return answer[0] === YES
  throw new Refusal('the server did not answer the TLS request as PostgreSQL does', 'TLS_REFUSED')
}

const CLOSED = 'the server closed the connection when asked for TLS'

/** Encrypts a connection. Rejects with Refusal if the certificate can't be verified. */
export async function encrypt(
  socket: Socket,
  host: string,
  settings: TlsSettings,
): Promise<tls.TLSSocket> {
  const secured = await shakeHands(socket, host, settings)
  try {
    verify(secured, host, settings)
    return secured
  } catch (error) {
    secured.destroy()
    throw error
  }
}

function shakeHands(socket: Socket, host: string, settings: TlsSettings): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = begin(socket, host, settings)
    const fail = (error?: Error) => {
      const why = error ? ` (${error.message})` : ''
      const message = `the TLS handshake failed${why}`
      reject(new Refusal(message, 'TLS_REFUSED', { cause: error }))
    }
    secured.once('error', fail)
    secured.once('close', () => fail())
    secured.once('secureConnect', () => resolve(secured))
  })
}

function begin(socket: Socket, host: string, settings: TlsSettings): tls.TLSSocket {
  const files = readFiles(settings)
  try {
    return tls.connect({
      socket,
      // The certificate is verified below, where errors get messages for people.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(settings.sendsServerName && isIP(host) === 0 ? { servername: host } : {}),
      ...(settings.isDirect ? { ALPNProtocols: ['postgresql'] } : {}),
      ...files,
      minVersion: settings.minVersion as tls.SecureVersion,
      maxVersion: settings.maxVersion as tls.SecureVersion,
    })
  } catch (error) {
    const message = 'a certificate, a key or its sslpassword is invalid'
    throw new Refusal(`${message} (${(error as Error).message})`, 'TLS_REFUSED', { cause: error })
  }
}

function readFiles({ rootcert, cert, key, crl, password, verify }: TlsSettings) {
  try {
    const read = (path: string | undefined) => (path ? readFileSync(path, 'utf8') : undefined)
    return {
      ca: read(rootcert) ?? (verify ? systemRoots() : undefined),
      ...{ cert: read(cert), key: read(key), crl: read(crl) },
      ...(password ? { passphrase: password } : {}),
    }
  } catch (error) {
    const message = `a file that the URL names can't be read (${(error as Error).message})`
    throw new Refusal(message, 'TLS_REFUSED', { cause: error })
  }
}

/** Returns the CAs that the system trusts (SSL_CERT_FILE if set), or else those built into Bun. */
function systemRoots(): string[] {
  const file = process.env.SSL_CERT_FILE
  if (file) return [readFileSync(file, 'utf8')]
  const found = tls.getCACertificates('system')
  return found.length > 0 ? found : [...tls.rootCertificates]
}

function verify(secured: tls.TLSSocket, host: string, settings: TlsSettings): void {
  if (!settings.verify) return
  const refuse = (message: string, cause?: Error) => new Refusal(message, 'TLS_REFUSED', { cause })
  if (!secured.authorized) {
    const { authorizationError: error } = secured as { authorizationError?: unknown }
    const code = (error as { code?: string } | null)?.code ?? String(error)
    throw refuse(`the server's certificate is not trusted: ${UNTRUSTED[code] ?? code}`)
  }
  if (settings.verify !== 'host') return
  const mismatch = tls.checkServerIdentity(host, secured.getPeerCertificate(true))
  if (mismatch) throw refuse(`the server's certificate is not for ${host}`, mismatch)
}

const BY_ANOTHER = 'the CA that signed it is not in sslrootcert'
const UNTRUSTED: Record<string, string> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: BY_ANOTHER,
  UNABLE_TO_GET_ISSUER_CERT: BY_ANOTHER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: BY_ANOTHER,
  SELF_SIGNED_CERT_IN_CHAIN: BY_ANOTHER,
  CERT_SIGNATURE_FAILURE: BY_ANOTHER,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed, and not in sslrootcert',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_REVOKED: 'it has been revoked',
}
