import net from 'node:net'
import { joinSockets, listenLocally } from '../support/sockets.ts'
import type { Random } from './random.ts'

/** A proxy before an instance that loses some answers: the client never hears of what was done. */
export type LossyProxy = {
  url: string
  /** Answers that were lost. */
  lost: number
  close(): Promise<void>
}

/** `portOf` says where the instance listens now. */
export async function startLossyProxy(
  portOf: () => number,
  random: Random,
  probability: number,
): Promise<LossyProxy> {
  const sockets = new Set<net.Socket>()
  const way: LossyProxy = { url: '', lost: 0, close: async () => {} }
  const server = net.createServer((client) => {
    const upstream = net.connect({ host: '127.0.0.1', port: portOf() })
    joinSockets(sockets, client, upstream)
    client.on('data', (chunk: Buffer) => upstream.write(chunk))
    upstream.on('data', (chunk: Buffer) => {
      if (!random.chance(probability)) {
        client.write(chunk)
        return
      }
      way.lost++
      client.destroy()
      upstream.destroy()
    })
  })
  way.url = `http://127.0.0.1:${await listenLocally(server)}`
  way.close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  return way
}
