/** Migrates a database, in a process that a test kills: `migrate.ts <address> <shards>`. */
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner, type ServerAddress } from '../../src/platform/postgres/pool.ts'

const [address = '', shards = ''] = process.argv.slice(2)
const owner = connectAsOwner(JSON.parse(address) as ServerAddress)
await migrate(owner, Number(shards))
await owner.end()
