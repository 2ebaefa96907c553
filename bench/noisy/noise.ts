/**
 * A client that repeats one request over many connections as fast as it is answered. It runs with
 * low priority (nice 10), so that its own processor time slows the service less.
 * Prints one line of JSON. `bun bench/noisy/noise.ts <options as JSON>`
 */
import { setPriority } from 'node:os'
import { Connection } from './connection.ts'
import { makeRequests, type NoiseName, type RequestsOptions } from './requests.ts'

export type NoiseOptions = RequestsOptions & {
  name: NoiseName
  url: string
  connections: number
  seconds: number
}

/** Answers per second by status; 0 means that the connection was closed. */
export type Noise = { perSecond: Record<string, number>; bytesPerSecond: number }

/** Pause (ms) before the next request after a connection was closed. */
const CLOSED_PAUSE_MS = 5

async function main([text = '']: string[]): Promise<void> {
  setPriority(10)
  const options = JSON.parse(text) as NoiseOptions
  const { name, url, seconds } = options
  const { requests, isRead } = makeRequests(name, options)
  const counts: Record<string, number> = {}
  const connections = Array.from(
    { length: options.connections },
    () => new Connection(new URL(url)),
  )
  const end = performance.now() + seconds * 1_000
  for (const [first, connection] of connections.entries()) {
    const run = async () => {
      for (let i = first; performance.now() < end; i++) {
        const request = requests[i % requests.length]!
        if (!isRead) return connection.sendUnread(request)
        const status = await connection.send(request)
        counts[status] = (counts[status] ?? 0) + 1
        if (status === 0) await Bun.sleep(CLOSED_PAUSE_MS)
      }
    }
    run().catch(() => {
      counts[0] = (counts[0] ?? 0) + 1
    })
  }
  await Bun.sleep(seconds * 1_000)
  const bytes = connections.reduce((sum, connection) => sum + connection.bytes, 0)
  const perSecond = Object.fromEntries(
    Object.entries(counts).map(([status, count]) => [status, count / seconds]),
  )
  console.log(JSON.stringify({ perSecond, bytesPerSecond: bytes / seconds } satisfies Noise))
  process.exit(0)
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
