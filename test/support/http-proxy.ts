import http from 'node:http'
import { listenLocally } from './sockets.ts'

export type HttpProxy = {
  /** The service's URL for clients: the host and the prefix. */
  url: string
  /** Requested paths outside the prefix, which belong to other programs. */
  strays: string[]
  close(): Promise<void>
}

/**
 * A reverse proxy on whose host the service is one of several programs. It forwards the paths under
 * `prefix`, with the prefix or without it.
 */
export async function startHttpProxy(
  upstream: string,
  prefix: string,
  form: 'kept' | 'stripped',
): Promise<HttpProxy> {
  const { hostname, port } = new URL(upstream)
  const strays: string[] = []
  const server = http.createServer((request, response) => {
    const { method = 'GET', url: requested = '/', headers } = request
    if (!requested.startsWith(`${prefix}/`)) {
      strays.push(requested)
      response.writeHead(404).end()
      return
    }
    const path = form === 'kept' ? requested : requested.slice(prefix.length)
    const forwarded = http.request({ hostname, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    response.on('close', () => forwarded.destroy())
    request.pipe(forwarded)
  })
  const own = await listenLocally(server)
  return {
    url: `http://127.0.0.1:${own}${prefix}`,
    strays,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
