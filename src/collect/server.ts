import { createHash, timingSafeEqual } from 'node:crypto'
import { gunzip, isGzip } from '../http/content-coding.ts'
import { Problem, unavailable } from '../http/problem.ts'
import { Busy } from './collector.ts'
import { readIngest, readOtlp, UnreadableBody } from './inputs.ts'
import type { Mapping, Target } from './mapping.ts'
import { encodeResponse, type Signal } from './otlp/decode.ts'
import type { OtlpPreset } from './otlp/presets.ts'
import { type Intake, take } from './take.ts'

export type ServerOptions = Intake & {
  host: string
  port: number
  /** The token that senders present; null if they need none. */
  token: string | null
  bodyLimitBytes: number
  mappings: Readonly<Record<string, Mapping>>
  otlp: readonly OtlpPreset[]
  target: Target
}

const SIGNALS: Record<string, Signal> = { '/v1/traces': 'span', '/v1/logs': 'log' }

/** Accepts the records of senders over HTTP until it is stopped. */
export function startServer(options: ServerOptions): Bun.Server<undefined> {
  const { host, port, bodyLimitBytes } = options
  return Bun.serve({
    hostname: host,
    port,
    idleTimeout: 120,
    // Compressed bodies are limited as they are decompressed.
    maxRequestBodySize: bodyLimitBytes,
    fetch: (request) =>
      answer(options, request).catch((error: unknown) => toProblem(error).toResponse()),
    error: (error) => toProblem(error).toResponse(),
  })
}

async function answer(options: ServerOptions, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  if (pathname === '/health') return new Response('ok')
  if (pathname === '/metrics') {
    return new Response(await options.metrics.format(options.collector), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  }
  if (request.method !== 'POST' && request.method !== 'PUT') {
    throw new Problem(405, 'method not allowed', 'Records are posted.', { allow: 'POST, PUT' })
  }
  requireToken(options.token, request)
  // Some senders export metrics as well, which would count the same requests again.
  if (pathname === '/v1/metrics') return answerOtlp('span', isJson(request), 0, '')
  const signal = SIGNALS[pathname]
  if (signal !== undefined) return takeOtlp(options, request, signal)
  const name = /^\/ingest\/([^/]+)$/.exec(pathname)?.[1]
  if (name !== undefined && Object.hasOwn(options.mappings, name)) {
    return takeIngest(options, request, name)
  }
  const names = Object.keys(options.mappings).map((one) => `/ingest/${one}`)
  const paths = [...Object.keys(SIGNALS), ...names].join(', ')
  throw new Problem(404, 'not found', `Records are posted to ${paths}.`)
}

async function takeOtlp(
  options: ServerOptions,
  request: Request,
  signal: Signal,
): Promise<Response> {
  const json = isJson(request)
  const body = await readBody(request, options.bodyLimitBytes)
  const readings = readOtlp(signal, options.otlp, body, json, options.target)
  const { malformed, reason } = await take(options, `otlp/${signal}`, readings)
  return answerOtlp(signal, json, malformed, reason)
}

async function takeIngest(
  options: ServerOptions,
  request: Request,
  name: string,
): Promise<Response> {
  const body = await readBody(request, options.bodyLimitBytes)
  const readings = readIngest(options.mappings[name]!, body, options.target)
  const { reason, ...counts } = await take(options, name, readings)
  return Response.json(counts.malformed === 0 ? counts : { ...counts, reason })
}

function answerOtlp(signal: Signal, json: boolean, rejected: number, reason: string): Response {
  const type = json ? 'application/json' : 'application/x-protobuf'
  const body = encodeResponse(signal, json, rejected, reason)
  return new Response(body as string, { headers: { 'content-type': type } })
}

const isJson = (request: Request) =>
  /^application\/json\b/i.test(request.headers.get('content-type') ?? '')

/** Reads a body, decompressed. Throws problem 413 above the limit, 400 or 415 for its coding. */
async function readBody(request: Request, limitBytes: number): Promise<Uint8Array> {
  const isCompressed = isGzip(request)
  const body = new Uint8Array(await request.arrayBuffer())
  if (!isCompressed) return body
  const chunks: Uint8Array[] = []
  let bytes = 0
  const compressed = (async function* () {
    yield body
  })()
  for await (const chunk of gunzip(compressed)) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) {
      throw new Problem(413, 'content too large', `A body has at most ${limitBytes} bytes.`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function requireToken(token: string | null, request: Request): void {
  if (token === null) return
  const given = request.headers.get('authorization') ?? ''
  const hash = (text: string) => createHash('sha256').update(text).digest()
  if (timingSafeEqual(hash(given.replace(/^Bearer\s+/i, '')), hash(token))) return
  throw new Problem(401, 'unauthorized', 'Present the token of the collector.', {
    'www-authenticate': 'Bearer',
  })
}

/** Everything that is not the sender's fault is 503: senders then keep what they have. */
function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof UnreadableBody) return new Problem(400, 'invalid body', error.message)
  if (error instanceof Busy) return unavailable('busy', 1, error.message)
  return unavailable('not stored', 5, (error as Error).message)
}
