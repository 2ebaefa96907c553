import { afterAll, beforeAll, expect, test } from 'bun:test'
import net from 'node:net'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { socketOf, through } from '../../support/proxy.ts'
import { useDatabase } from '../../support/server.ts'
import { listenLocally } from '../../support/sockets.ts'

// A network that carries two megabytes a second to the server.

const BYTES_PER_MS = 2_000

const database = useDatabase({ shards: 1 })
let listener: net.Server
let pools: Pools

beforeAll(async () => {
  listener = net.createServer((client) => {
    const server = net.connect(socketOf(database.address))
    server.pipe(client)
    client.on('data', (chunk) => {
      server.write(chunk)
      client.pause()
      setTimeout(() => client.resume(), chunk.length / BYTES_PER_MS)
    })
    for (const socket of [client, server]) {
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        server.destroy()
      })
    }
  })
  const address = through(database.address, await listenLocally(listener))
  pools = openPools(address, 1, { silentAfterMs: 250 })
})
afterAll(async () => {
  await pools.close()
  listener.close()
})

test('a large statement is sent to its end, however long no answer can come', async () => {
  const text = 'x'.repeat(4_000_000)
  const [row] = await pools.append<{ length: number }[]>`select length(${text})`
  expect(row!.length).toBe(text.length)
})
