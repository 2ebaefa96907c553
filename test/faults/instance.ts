/**
 * Runs one instance of the service as a process, on an existing database.
 * `bun test/faults/instance.ts <address as JSON> <shards> <data directory> <port>`
 */
import pino from 'pino'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { openOrigin } from '../../src/proofs/transparency/origin.ts'
import { startService } from '../../src/service/service.ts'
import { TOKENS } from '../support/service.ts'

const [addressText = '', shards = '1', dataDir = '', port = '0'] = Bun.argv.slice(2)

try {
  const { origin } = await openOrigin(dataDir, 'stats.example.com')
  const service = await startService({
    config: {
      host: '127.0.0.1',
      port: Number(port),
      shards: Number(shards),
      bodyLimitBytes: 16 * 1024 * 1024,
      unknownTokens: 30,
      maxSubscribers: 10,
    },
    address: JSON.parse(addressText) as ServerAddress,
    tokens: TOKENS,
    origin,
    // Logs to stderr, because the parent stops reading stdout at the line below.
    logger: pino({ level: 'error' }, pino.destination({ dest: 2, sync: true })),
  })
  process.on('SIGTERM', () => service.stop().then(() => process.exit(0)))
  console.log(`listens on ${service.url}`)
} catch (error) {
  // The database may be down just now; the parent tries again.
  console.error(`did not start: ${error}`)
  process.exit(1)
}
