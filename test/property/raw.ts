import { connect } from 'node:net'

/** The answer; status 0 if the connection was closed without one. */
export type RawAnswer = { status: number; contentType: string | null; body: string }

/** Milliseconds that a request may take. */
const TIMEOUT_MS = 60_000

/** Sends bytes unchanged on a new connection; `fetch` would normalize the URL. */
export async function sendRaw(url: string, head: string, body = ''): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const chunks: Buffer[] = []
  const socket = connect({ host: hostname, port: Number(port) }, () => {
    socket.write(`${head}\r\nhost: ${hostname}\r\nconnection: close\r\n\r\n${body}`, 'latin1')
  })
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('close', () => resolve(Buffer.concat(chunks)))
  socket.on('error', () => resolve(Buffer.concat(chunks)))
  const timer = setTimeout(
    () => reject(new Error(`no answer to ${head.slice(0, 300)}`)),
    TIMEOUT_MS,
  )
  try {
    return parse((await promise).toString('utf8'))
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

function parse(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const head = end < 0 ? text : text.slice(0, end)
  return {
    status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0),
    contentType: /\r\ncontent-type: *([^\r;]*)/i.exec(head)?.[1] ?? null,
    body: end < 0 ? '' : text.slice(end + 4),
  }
}
