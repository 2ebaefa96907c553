import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request that a receiver got. */
export type Received = { path: string; headers: Record<string, string>; body: string }

/** How a receiver answers: with a status, by sending it elsewhere, or never. */
export type Answer = number | 'hang' | 'redirect' | 'huge' | 'cut'

export type Receiver = {
  url: string
  received: Received[]
  /** Answers requests from now on. */
  answer: Answer
  close(): Promise<void>
}

const CHUNK = Buffer.alloc(64 * 1024, 'x')

/** Starts a server on 127.0.0.1 that keeps what it is sent. */
export async function startReceiver(answer: Answer = 204): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const headers = request.headers as Record<string, string>
    received.push({ path: request.url!, headers, body })
    if (receiver.answer === 'hang') return
    if (receiver.answer === 'cut') return void request.socket.destroy()
    if (receiver.answer === 'redirect') {
      return void response.writeHead(302, { location: '/elsewhere' }).end()
    }
    if (receiver.answer !== 'huge') return void response.writeHead(receiver.answer).end()
    response.writeHead(200)
    // Without an end, for as long as somebody reads.
    response.on('error', () => {})
    const more = () => {
      while (!response.destroyed && response.write(CHUNK));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    answer,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}
