import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { TLSSocket } from 'node:tls'
import { version } from '../../package.json'
import { withinOr } from '../platform/async/deadline.ts'
import { findAddresses, hostOf, type Resolve } from './address.ts'

/** What an attempt came to: the status of the answer, or why there was none. */
export type Outcome = { status: number; error: null } | { status: null; error: SendError }

/** Why there was no answer. None of them repeats what the other side has sent. */
export type SendError =
  | 'host unknown'
  | 'address refused'
  | 'https required'
  | 'connection failed'
  | 'certificate refused'
  | 'no answer in time'
  | 'invalid answer'
  | 'stopped'

/** How attempts are made. Times are in milliseconds. */
export type SendOptions = {
  /** Networks to which webhooks may go besides the internet. */
  networks: net.BlockList | null
  connectWithinMs: number
  answerWithinMs: number
  /** Certificates of further authorities, in PEM. */
  authorities?: string[]
  /** Resolves hosts; the system does by default. */
  resolve?: Resolve
}

/** A request with its signed headers. */
export type Message = { url: string; body: string; headers: Record<string, string> }

const failed = (error: SendError): Outcome => ({ status: null, error })

/**
 * Posts a message, once. It connects to the very addresses that were checked, to the next one only
 * if it could not connect to the one before, follows no redirect, and closes the connection when
 * the status has arrived. Never rejects.
 */
export async function send(
  message: Message,
  options: SendOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const url = new URL(message.url)
  const { connectWithinMs, networks, resolve } = options
  const looking = until(signal, findAddresses(url, networks, resolve))
  const looked = await withinOr(connectWithinMs, looking, null)
  if (signal.aborted) return failed('stopped')
  if (looked === null) return failed('no answer in time')
  if ('error' in looked) return failed(looked.error)
  const { addresses } = looked
  const each = { ...options, connectWithinMs: connectWithinMs / addresses.length }
  let last: Attempted = { outcome: failed('connection failed'), isConnected: false }
  for (const address of addresses) {
    last = await post(url, address, message, each, signal)
    if (last.isConnected || last.outcome.error === 'stopped') break
  }
  return last.outcome
}

/** What came of one connection, and whether there was one. */
type Attempted = { outcome: Outcome; isConnected: boolean }

function post(
  url: URL,
  address: string,
  { body, headers }: Message,
  { connectWithinMs, answerWithinMs, authorities }: SendOptions,
  signal: AbortSignal,
): Promise<Attempted> {
  return new Promise((resolve) => {
    const isHttps = url.protocol === 'https:'
    const request = (isHttps ? https : http).request({
      host: address,
      port: url.port || (isHttps ? 443 : 80),
      path: url.pathname + url.search,
      method: 'POST',
      // A connection of its own, and none through the proxy of an agent.
      agent: false,
      ...(isHttps && { ...nameOf(url), ...(authorities && { ca: authorities }) }),
      headers: {
        host: url.host,
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        'user-agent': `tallybook/${version}`,
        ...headers,
      },
    })
    let isConnected = false
    const finish = (outcome: Outcome) => {
      clearTimeout(connecting)
      clearTimeout(answering)
      signal.removeEventListener('abort', stop)
      // Whoever answers is connected, whether that was noticed or not.
      resolve({ outcome, isConnected: isConnected || outcome.status !== null })
      request.destroy()
    }
    const stop = () => finish(failed('stopped'))
    const late = () => finish(failed('no answer in time'))
    const connecting = setTimeout(() => isConnected || late(), connectWithinMs)
    const answering = setTimeout(late, answerWithinMs)
    signal.addEventListener('abort', stop)
    request.on('socket', (socket: net.Socket | TLSSocket) => {
      const note = () => {
        isConnected = true
      }
      socket.once(isHttps ? 'secureConnect' : 'connect', note)
    })
    request.on('response', (response) => {
      // What is left of the answer is not read.
      response.on('error', () => {})
      response.destroy()
      finish({ status: response.statusCode!, error: null })
    })
    request.on('error', (error) => finish(failed(reasonOf(error))))
    request.end(body)
  })
}

/** Resolves as `work` does, or with null as soon as the signal is aborted. */
async function until<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value | null> {
  const { promise, resolve } = Promise.withResolvers<null>()
  const stop = () => resolve(null)
  signal.addEventListener('abort', stop)
  try {
    return signal.aborted ? null : await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The name that the certificate must have; of an address, Node compares that. */
function nameOf(url: URL): { servername?: string } {
  const host = hostOf(url)
  return net.isIP(host) === 0 ? { servername: host } : {}
}

/** Codes of Node for certificates that are not valid for the host. */
const CERTIFICATE = /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL/

function reasonOf(error: Error & { code?: string }): SendError {
  const { code = '' } = error
  if (CERTIFICATE.test(code)) return 'certificate refused'
  return code.startsWith('HPE_') ? 'invalid answer' : 'connection failed'
}
