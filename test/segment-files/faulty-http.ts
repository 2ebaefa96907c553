import http from 'node:http'
import { listenLocally } from '../support/sockets.ts'

/** What happens to a request, or to the answer that the server behind gives. */
export const HTTP_FAULTS = {
  'drop the question': ({ client }) => void client.socket?.destroy(),
  'drop the answer': ({ client, forward }) => forward(() => void client.socket?.destroy()),
  'never answer': () => {},
  'answer 500': ({ client }) => void client.writeHead(500).end(),
  'answer 503 SlowDown': ({ client }) => sendError(client, 503, 'SlowDown'),
  'answer 403 AccessDenied': ({ client }) => sendError(client, 403, 'AccessDenied'),
  'answer 404 NoSuchBucket': ({ client }) => sendError(client, 404, 'NoSuchBucket'),
  'answer 507 full': ({ client }) => sendError(client, 507, 'XMinioStorageFull'),
  'answer 403 QuotaExceeded': ({ client }) => sendError(client, 403, 'QuotaExceeded'),
  redirect: ({ client }) => void client.writeHead(307, { location: 'http://127.0.0.1:9/' }).end(),
  'answer another protocol': ({ client }) => void client.socket?.end('SSH-2.0-OpenSSH\r\n'),
  'cut the body off': ({ client, forward }) =>
    forward(({ status, headers, body }) => {
      client.writeHead(status, headers)
      client.write(body.subarray(0, body.length / 2), () => client.socket?.destroy())
    }),
  'send half of the body': ({ client, forward }) =>
    forward(({ status, headers, body }) => {
      const half = body.subarray(0, body.length / 2)
      client.writeHead(status, { ...headers, 'content-length': half.length }).end(half)
    }),
  'change the body': ({ client, forward }) =>
    forward(({ status, headers, body }) => {
      if (body.length > 0) body[body.length >> 1]! ^= 1
      client.writeHead(status, headers).end(body)
    }),
  'send the body a byte at a time': ({ client, forward }) =>
    forward(({ status, headers, body }) => {
      client.writeHead(status, headers)
      let at = 0
      const timer = setInterval(() => client.write(body.subarray(at, ++at)), 20)
      client.on('close', () => clearInterval(timer))
    }),
  'send a body without end': ({ client, forward }) =>
    forward(({ status, headers }) => {
      const { 'content-length': _, ...others } = headers
      client.writeHead(status, others)
      const timer = setInterval(() => client.write(Buffer.alloc(100_000)), 1)
      client.on('close', () => clearInterval(timer))
    }),
  'ignore the range': ({ client, forward }) =>
    forward(({ body }) => void client.writeHead(200).end(body)),
  'send another range': ({ client, forward }) =>
    forward(({ status, headers, body }) => {
      const range = 'bytes 0-0/1000000'
      client.writeHead(status, { ...headers, 'content-range': range }).end(body)
    }),
  'lose the end of what is sent': ({ client, forward }) =>
    forward(
      ({ status, headers, body }) => void client.writeHead(status, headers).end(body),
      (sent) => sent.subarray(0, sent.length / 2),
    ),
  'change what is sent': ({ client, forward }) =>
    forward(
      ({ status, headers, body }) => void client.writeHead(status, headers).end(body),
      (sent) => Buffer.from(sent).fill(1, sent.length >> 1, (sent.length >> 1) + 1),
    ),
} satisfies Record<string, (exchange: Exchange) => void>

export type HttpFault = keyof typeof HTTP_FAULTS

type Answer = { status: number; headers: http.IncomingHttpHeaders; body: Buffer }

type Exchange = {
  client: http.ServerResponse
  /** Sends the request on, perhaps with another body, and passes the answer to `use`. */
  forward(use: (answer: Answer) => void, change?: (sent: Buffer) => Buffer): void
}

export type FaultyHttp = {
  url: string
  /** How many requests have failed. */
  readonly failed: number
  /** Begins a fault for requests of these methods, the next `times` of them. */
  begin(fault: HttpFault, methods: readonly string[], times?: number): void
  end(): void
  close(): Promise<void>
}

/** A reverse proxy that fails in one way at a time. */
export async function startFaultyHttp(upstream: string): Promise<FaultyHttp> {
  const { hostname, port } = new URL(upstream)
  let failed = 0
  let now: { fault: HttpFault; methods: readonly string[]; left: number } | null = null
  const server = http.createServer((request, client) => {
    const fault = now?.methods.includes(request.method!) === true && now.left-- > 0
    const sent: Buffer[] = []
    request.on('data', (chunk: Buffer) => sent.push(chunk))
    request.on('end', () => {
      const forward: Exchange['forward'] = (use, change = (bytes) => bytes) => {
        const body = change(Buffer.concat(sent))
        const headers = { ...request.headers, 'content-length': String(body.length) }
        const path = request.url
        const { method } = request
        const forwarded = http.request({ hostname, port, method, path, headers }, (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('end', () =>
            use({
              status: answer.statusCode!,
              headers: answer.headers,
              body: Buffer.concat(chunks),
            }),
          )
        })
        forwarded.on('error', () => client.destroy())
        forwarded.end(body)
      }
      if (fault && now !== null) {
        failed++
        HTTP_FAULTS[now.fault]({ client, forward })
      } else forward(({ status, headers, body }) => client.writeHead(status, headers).end(body))
    })
  })
  const own = await listenLocally(server)
  return {
    url: `http://127.0.0.1:${own}`,
    get failed() {
      return failed
    },
    begin: (fault, methods, times = Number.POSITIVE_INFINITY) => {
      now = { fault, methods, left: times }
    },
    end: () => {
      now = null
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function sendError(client: http.ServerResponse, status: number, code: string): void {
  client.writeHead(status, { 'content-type': 'application/xml' })
  client.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`)
}
