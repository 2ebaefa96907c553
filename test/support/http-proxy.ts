import http from 'node:http'
import { listenLocally } from './sockets.ts'

export type HttpProxy = {
  /** Where clients find the service: the host and the prefix. */
  url: string
  /** Paths that were asked for and are not under the prefix: another program's. */
  strays: string[]
  close(): Promise<void>
}

/**
 * A reverse proxy that has other programs beside the service on its host: it passes on what is
 * under `prefix`, as it was sent or without the prefix.
 */
export async function startHttpProxy(
  upstream: string,
  prefix: string,
  form: 'kept' | 'stripped',
): Promise<HttpProxy> {
  const { hostname, port } = new URL(upstream)
  const strays: string[] = []
  const server = http.createServer((request, response) => {
    const { method = 'GET', url: asked = '/', headers } = request
    if (!asked.startsWith(`${prefix}/`)) {
      strays.push(asked)
      response.writeHead(404).end()
      return
    }
    const path = form === 'kept' ? asked : asked.slice(prefix.length)
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
