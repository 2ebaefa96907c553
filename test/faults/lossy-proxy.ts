import net from 'node:net'
import { joinSockets, listenLocally } from '../support/sockets.ts'
import type { Random } from './random.ts'

/** A proxy in front of an instance that loses some answers: clients don't learn the outcome. */
export type LossyProxy = {
  url: string
  /** The number of answers lost. */
  lost: number
  close(): Promise<void>
}

/** Starts a proxy for the instance that listens on `portOf()`. */
export async function startLossyProxy(
  portOf: () => number,
  random: Random,
  probability: number,
): Promise<LossyProxy> {
  const sockets = new Set<net.Socket>()
  const proxy: LossyProxy = { url: '', lost: 0, close: async () => {} }
  const server = net.createServer((client) => {
    const upstream = net.connect({ host: '127.0.0.1', port: portOf() })
    joinSockets(sockets, client, upstream)
    client.on('data', (chunk: Buffer) => upstream.write(chunk))
    upstream.on('data', (chunk: Buffer) => {
      if (!random.chance(probability)) {
        client.write(chunk)
        return
      }
      proxy.lost++
      client.destroy()
      upstream.destroy()
    })
  })
  proxy.url = `http://127.0.0.1:${await listenLocally(server)}`
  proxy.close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  return proxy
}
