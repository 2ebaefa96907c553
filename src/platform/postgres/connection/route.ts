import net from 'node:net'
import { within } from '../../async/deadline.ts'
import { isBusyServer, isSaidByServer, isShutOut } from '../errors.ts'
import { ConnectError, Refusal } from './error.ts'
import { explainReason } from './reason.ts'
import { chooseScram, type Scram } from './scram.ts'
import {
  type RequiredState,
  refuseServer,
  refuseState,
  type Session,
  type SessionAttributes,
} from './session.ts'
import type { Endpoint, Target } from './target.ts'
import { askForTls, encrypt } from './tls.ts'

/** One attempt: a server, the use of TLS, and the attributes that the session must have. */
type Attempt = {
  endpoint: Endpoint
  tls: 'no' | 'if offered' | 'yes'
  attributes: SessionAttributes
}

/** Authentication requests of PostgreSQL's protocol, with libpq's names for the methods. */
const METHODS: Record<number, string> = {
  ...{ 3: 'password', 5: 'md5', 7: 'gss', 9: 'sspi', 10: 'scram-sha-256' },
}
const DONE = 0
const PROVEN = 12

/**
 * The attempts to open one connection. The driver dials and reports what failed, until there is a
 * session or no attempt is left.
 */
export class Route {
  readonly #attempts: Attempt[]
  #next = 0
  #failures: string[] = []
  #method = 'none'
  #isChannelBound = false
  #isServerProven = false

  constructor(
    private readonly target: Target,
    /** Null if any session is accepted. */
    private readonly required: RequiredState | null,
  ) {
    this.#attempts = attemptsFor(target)
  }

  /** Opens a connection, encrypted if required. Rejects with ConnectError if no attempt is left. */
  async dial(): Promise<net.Socket> {
    this.#method = 'none'
    this.#isChannelBound = false
    this.#isServerProven = false
    for (;;) {
      const attempt = this.#attempts[this.#next++]!
      try {
        return await this.#dialAttempt(attempt)
      } catch (error) {
        const last = this.failed(error)
        if (last !== null) throw last
      }
    }
  }

  async #dialAttempt(attempt: Attempt): Promise<net.Socket> {
    const socket = new net.Socket()
    // There may be no other listener between two steps, and an unhandled error ends the process.
    socket.on('error', () => {})
    try {
      return await within(this.target.connectTimeoutMs, this.#open(socket, attempt), tooSlow)
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async #open(socket: net.Socket, { endpoint, tls }: Attempt): Promise<net.Socket> {
    await connect(socket, endpoint)
    if (tls === 'no' || 'directory' in endpoint) return socket
    const { tls: settings } = this.target
    if (!settings.isDirect && !(await askForTls(socket))) {
      if (tls === 'yes') throw new Refusal(NO_TLS, 'TLS_REFUSED')
      this.#skip((next) => next.endpoint === endpoint)
      return socket
    }
    const secured = await encrypt(socket, endpoint.host, settings)
    secured.on('error', () => {})
    return secured
  }

  /** Records a failed attempt. Returns null to try the next one, or the error of the connection. */
  failed(error: unknown): ConnectError | null {
    const attempt = this.#attempts[this.#next - 1]!
    if (!dependsOnEncryption(error)) this.#skip((next) => next.endpoint === attempt.endpoint)
    const failure = `${nameOf(attempt.endpoint)}: ${explainReason(error)}`
    if (!this.#failures.includes(failure)) this.#failures.push(failure)
    const next = this.#attempts[this.#next]
    if (next && shouldTryNext(error, next.endpoint === attempt.endpoint)) return null
    const { code = 'CONNECTION_CLOSED' } = error as { code?: string }
    return new ConnectError(this.#failures.join('; '), code, { cause: error })
  }

  /** Handles an authentication request. Returns a Refusal if it is not acceptable, else null. */
  authenticate(type: number): Refusal | null {
    const refuse = (message: string) => new Refusal(message, 'AUTHENTICATION_REFUSED')
    this.#method = METHODS[type] ?? this.#method
    if (type === PROVEN) this.#isServerProven = true
    if (type !== DONE && METHODS[type] === undefined) return null
    const { methods, channelBinding, password } = this.target
    if (methods !== null && methods.names.includes(this.#method) !== methods.areAllowed) {
      return refuse(`the server asks for ${this.#method}, which require_auth excludes`)
    }
    if (type !== DONE) return password === '' ? refuse(NO_PASSWORD) : null
    if (this.#method === 'scram-sha-256' && !this.#isServerProven) return refuse(UNPROVEN)
    if (channelBinding === 'require' && !this.#isChannelBound) return refuse(UNBOUND)
    return null
  }

  /** Chooses how to prove the password by one of these mechanisms. Throws Refusal if none fits. */
  scram(mechanisms: readonly string[], socket: unknown): Scram {
    const { channelBinding, password } = this.target
    const scram = chooseScram(mechanisms, channelBinding, socket, password)
    this.#isChannelBound = scram.binding.length > 0
    return scram
  }

  /** Returns a Refusal if a session that has been set up is not as required, else null. */
  check(session: Session): Refusal | null {
    const { attributes } = this.#attempts[this.#next - 1]!
    const refused = refuseServer(session, attributes)
    return refused ?? (this.required === null ? null : refuseState(session, this.required))
  }

  #skip(isUseless: (attempt: Attempt) => boolean): void {
    while (this.#next < this.#attempts.length && isUseless(this.#attempts[this.#next]!))
      this.#next++
  }
}

const NO_TLS = 'the server does not support TLS, which sslmode requires'
const NO_PASSWORD = 'the server asks for a password, and the URL has none'
const UNPROVEN = 'the server did not prove that it knows the password'
const UNBOUND = 'channel_binding=require is not possible because the server does not use SCRAM'

/** Returns all attempts for a target, in the order of libpq. */
function attemptsFor({ endpoints, isBalanced, sslmode, attributes }: Target): Attempt[] {
  const ordered = isBalanced ? shuffle(endpoints) : endpoints
  const kinds: Attempt['tls'][] =
    sslmode === 'disable'
      ? ['no']
      : sslmode === 'allow'
        ? ['no', 'yes']
        : sslmode === 'prefer'
          ? ['if offered', 'no']
          : ['yes']
  const rounds: SessionAttributes[] =
    attributes === 'prefer-standby' ? ['standby', 'any'] : [attributes]
  return rounds.flatMap((round) =>
    ordered.flatMap((endpoint) =>
      ('directory' in endpoint ? kinds.slice(0, 1) : kinds).map((kind) => {
        return { endpoint, tls: kind, attributes: round }
      }),
    ),
  )
}

function shuffle<Value>(values: readonly Value[]): Value[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

function connect(socket: net.Socket, endpoint: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(failure('ECONNRESET')))
    if ('directory' in endpoint) socket.connect(`${endpoint.directory}/.s.PGSQL.${endpoint.port}`)
    else socket.connect(endpoint.port, endpoint.address)
  })
}

const failure = (code: string) => Object.assign(new Error(code), { code })
const tooSlow = () => failure('CONNECT_TIMEOUT')

/** True if the same server may accept a connection with TLS instead of without, or vice versa. */
const dependsOnEncryption = (error: unknown) =>
  isShutOut(error) || (error instanceof Refusal && error.code === 'TLS_REFUSED')

/** False if every other server would fail in the same way, for example with a wrong password. */
const shouldTryNext = (error: unknown, isSameEndpoint: boolean) =>
  isShutOut(error) ? isSameEndpoint : !isSaidByServer(error) || isBusyServer(error)

const nameOf = (endpoint: Endpoint) =>
  'directory' in endpoint
    ? `${endpoint.directory}/.s.PGSQL.${endpoint.port}`
    : `${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`
