/**
 * A client that asks one thing over many connections as fast as it is answered. It is nice: on a
 * machine that it shares with the service, what it takes of the processor is not what it costs.
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

/** Answers a second, by status; 0 is a connection that was closed. */
export type Noise = { perSecond: Record<string, number>; bytesPerSecond: number }

/** Milliseconds until a refused client comes again, where it was not told to wait. */
const CLOSED_REST_MS = 5

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
    const ask = async () => {
      for (let i = first; performance.now() < end; i++) {
        const request = requests[i % requests.length]!
        if (!isRead) return connection.askUnread(request)
        const status = await connection.ask(request)
        counts[status] = (counts[status] ?? 0) + 1
        if (status === 0) await Bun.sleep(CLOSED_REST_MS)
      }
    }
    ask().catch(() => {
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
