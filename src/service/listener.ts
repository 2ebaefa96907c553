import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Server } from 'bun'
import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import { UserError } from '../platform/user-error.ts'
import type { CertificateFiles } from './config.ts'

type App = { listen(options: object): unknown; server: Server<unknown> | null }

/** A certificate with its chain, and its private key, as PEM. */
type Certificate = { cert: string; key: string }

export type ListenerOptions = {
  host: string
  /** 0 picks a free port. */
  port: number
  basePath: string
  /** null serves plain HTTP. */
  certificate: CertificateFiles | null
  /** How often to look for another certificate, in milliseconds. */
  pollIntervalMs: number
  logger: Logger
}

/** The socket on which an app listens, by HTTPS with a certificate that may be renewed. */
export class Listener {
  /** The app's server, and earlier ones whose requests are not all answered. */
  readonly #servers = new Set<Server<unknown>>()
  readonly #poll: Poll
  #certificate: Certificate | null = null
  #port: number
  /** Why the certificate in the files can't be used, if it was logged. */
  #problem: string | null = null

  constructor(
    private readonly app: App,
    private readonly options: ListenerOptions,
  ) {
    this.#port = options.port
    this.#poll = new Poll(() => this.#renew(), options.pollIntervalMs)
  }

  /** Starts listening. Throws a UserError that states why it can't, and what to do. */
  async start(): Promise<void> {
    const { host, port, certificate } = this.options
    const read = certificate && (await readCertificate(certificate))
    try {
      this.#listen(read)
    } catch (error) {
      const reason = LISTEN_FAILURES[(error as NodeJS.ErrnoException).code ?? '']
      if (reason === undefined) throw error
      throw new UserError(`The service can't listen on ${host}:${port}: ${reason}.`)
    }
    if (certificate !== null) this.#poll.start()
  }

  get url(): string {
    const { host, basePath } = this.options
    const authority = `${host.includes(':') ? `[${host}]` : host}:${this.#port}`
    return `${this.#certificate === null ? 'http' : 'https'}://${authority}${basePath}`
  }

  /** Accepts no more connections. Resolves when all requests are answered. */
  async stop(): Promise<void> {
    this.#poll.stop()
    await Promise.all([...this.#servers].map((server) => server.stop()))
  }

  /** Closes all connections. */
  async end(): Promise<void> {
    await Promise.all([...this.#servers].map((server) => server.stop(true)))
  }

  #listen(certificate: Certificate | null): void {
    const tls = certificate === null ? {} : { tls: certificate }
    this.app.listen({ hostname: this.options.host, port: this.#port, ...tls })
    this.#certificate = certificate
    // A server that was stopped has none any more.
    this.#port = this.app.server!.port!
    this.#servers.add(this.app.server!)
  }

  /** Listens with the certificate in the files, if that has changed and is valid. */
  async #renew(): Promise<void> {
    const { certificate, logger } = this.options
    const before = this.app.server!
    try {
      const read = await readCertificate(certificate!)
      this.#problem = null
      if (Bun.deepEquals(read, this.#certificate)) return
      // A port has one certificate at a time. Requests under way are answered.
      void before.stop().then(() => this.#servers.delete(before))
      this.#listen(read)
      logger.info(`certificate: valid until ${new X509Certificate(read.cert).validTo}`)
    } catch (error) {
      // It is tried again after each interval.
      const problem = String(error)
      if (problem !== this.#problem) logger.error({ err: error }, 'certificate: not renewed')
      this.#problem = problem
    }
  }
}

const LISTEN_FAILURES: Record<string, string> = {
  EADDRINUSE: 'another program listens there. Stop it, or choose another port',
  EACCES: 'ports below 1024 need a privilege. Choose another port',
  EADDRNOTAVAIL: 'this machine has no such address. Choose another host',
}

/** Reads a certificate. Throws UserError if that or the key can't be used. */
async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const read = (name: string, path: string) =>
    readFile(path, 'utf8').catch((error: Error) => {
      throw new UserError(`${name} can't be read: ${error.message}`)
    })
  const cert = await read('TALLYBOOK_TLS_CERT', files.cert)
  const key = await read('TALLYBOOK_TLS_KEY', files.key)
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { cert, key }
  } catch (error) {
    throw new UserError(
      'TALLYBOOK_TLS_CERT and TALLYBOOK_TLS_KEY must be in PEM, the key without a passphrase: ' +
        (error as Error).message,
    )
  }
  throw new UserError('The key in TALLYBOOK_TLS_KEY is not that of TALLYBOOK_TLS_CERT.')
}
