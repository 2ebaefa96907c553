import {
  canDistribute,
  distribute,
  readNodes,
  readPlacement,
  refuseWhileInUse,
} from '../platform/postgres/citus/distribute.ts'
import { connectAsOwner } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import { readConfig } from '../service/config.ts'
import { openDatabase } from './database.ts'

/** Printed for wrong arguments, and in docs/reference/cli.md. */
export const USAGE =
  'Usage: tallybook init [--citus]\n' +
  'Creates the schema with TALLYBOOK_SHARDS shards, as the first start of the service would.\n' +
  'If DATABASE_URL names a Citus coordinator that has workers, it also distributes the tables\n' +
  'over them; with --citus it fails if it cannot.'

/** Creates the schema, and distributes it over the workers if the database has Citus. */
export async function init(args: string[]): Promise<void> {
  const isCitus = args[0] === '--citus'
  if (args.length > (isCitus ? 1 : 0)) throw new UserError(USAGE)
  const config = readConfig(process.env)
  if (isCitus && config.databaseUrl === null) {
    throw new UserError('DATABASE_URL must name a database on the Citus coordinator.')
  }
  const database = await openDatabase(config, (message) => console.error(message), { create: true })
  const owner = connectAsOwner(database.address)
  try {
    console.log(`The schema is in place, with ${config.shards} shard(s).`)
    if (!isCitus && !(await canDistribute(owner))) return
    if ((await readPlacement(owner)) === 'no citus') {
      throw new UserError('This database has no Citus: run `create extension citus` on every node.')
    }
    await refuseWhileInUse(owner)
    await distribute(owner, config.shards)
    for (const { node, shards } of await readNodes(owner)) {
      console.log(`${node} has shard ${shards}`)
    }
  } finally {
    await owner.end({ timeout: 5 })
    await database.close()
  }
}
