import { afterAll, beforeAll } from 'bun:test'
import type postgres from 'postgres'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import {
  connectAsOwner,
  openPools,
  type Pools,
  type ServerAddress,
} from '../../src/platform/postgres/pool.ts'
import { citusNodes, createDistributed, onEveryNode } from './citus.ts'

/** The number of shards of this run (see test/run.ts). */
export const TEST_SHARDS = Number(process.env.TALLYBOOK_TEST_SHARDS ?? '1')

/** Returns the address of a database of the test server. */
export function addressOf(database: string): ServerAddress {
  const server = process.env.TALLYBOOK_TEST_SERVER
  if (!server) throw new Error('Tests with a database run through `bun run test [files]`.')
  const address = JSON.parse(server) as ServerAddress
  if (!('url' in address)) return { ...address, database }
  const url = new URL(address.url)
  url.pathname = `/${database}`
  return { url: url.href }
}

/** Returns the URL of a database, for programs that are told of it by DATABASE_URL. */
export function urlOf(address: ServerAddress): string {
  if ('url' in address) return address.url
  const { host, port, user, database } = address
  return `postgres://${user}@/${database}?${new URLSearchParams({ host, port: String(port) })}`
}

const connectForMaintenance = () =>
  connectAsOwner(addressOf(process.env.TALLYBOOK_TEST_MAINTENANCE_DATABASE ?? 'postgres'))

let maintenance: postgres.Sql | undefined
/** Returns the connection with which this test process creates and drops its databases. */
const useMaintenance = () => {
  maintenance ??= connectForMaintenance()
  return maintenance
}

/** The name of this run's template, which contains a hash of the code that makes the schema. */
const templateOf = (shards: number) =>
  `${process.env.TALLYBOOK_TEST_TEMPLATE ?? 'tallybook_template'}_${shards}`

/**
 * Creates the migrated database that every test file clones, unless a run of the same code already
 * has. It is created under another name first, so that a concurrent run never finds it incomplete.
 */
export async function createTemplate(shards: number): Promise<void> {
  const name = templateOf(shards)
  if (citusNodes().length > 0) return createDistributed(name, shards)
  const server = connectForMaintenance()
  const found = await server`select from pg_database where datname = ${name}`
  if (found.length === 0) {
    const draft = `${name}_${process.pid}`
    await server.unsafe(`create database ${draft}`)
    const owner = connectAsOwner(addressOf(draft))
    await migrate(owner, shards)
    await owner.end()
    await server.unsafe(`alter database ${draft} rename to ${name}`).catch(async (error) => {
      await server.unsafe(`drop database ${draft}`)
      if (error.code !== DUPLICATE_DATABASE) throw error
    })
  }
  await server.end()
}

const DUPLICATE_DATABASE = '42P04'

export async function dropTemplate(shards: number): Promise<void> {
  if (citusNodes().length > 0) return
  const server = connectForMaintenance()
  await server.unsafe(`drop database if exists ${templateOf(shards)}`)
  await server.end()
}

export type TestDatabase = {
  address: ServerAddress
  /** A connection as the owner, which may do anything. */
  owner: postgres.Sql
  drop(): Promise<void>
}

let made = 0

/** Creates a migrated database with any number of shards, from a template if there is one. */
export async function createDatabaseOf(shards: number): Promise<TestDatabase> {
  const server = useMaintenance()
  const templates = await server`select from pg_database where datname = ${templateOf(shards)}`
  if (templates.length > 0) return createDatabase({ shards })
  const database = await createDatabase({ empty: true })
  await migrate(database.owner, shards)
  return database
}

/** Creates a database, migrated unless `empty`. */
export async function createDatabase(
  options: { empty?: boolean; shards?: number } = {},
): Promise<TestDatabase> {
  const name = `tallybook_test_${process.pid}_${made++}`
  const server = useMaintenance()
  const template = options.empty ? 'template0' : templateOf(options.shards ?? TEST_SHARDS)
  const everywhere = (statement: string) =>
    citusNodes().length > 0 ? onEveryNode(statement) : server.unsafe(statement)
  await everywhere(`create database ${name} template ${template} strategy file_copy`)
  const address = addressOf(name)
  const owner = connectAsOwner(address)
  return {
    address,
    owner,
    drop: async () => {
      await owner.end({ timeout: 1 })
      await everywhere(`drop database ${name} with (force)`)
    },
  }
}

/** A database for the tests of one file, created before and dropped after them. */
export function useDatabase(options: Parameters<typeof createDatabase>[0] = {}): TestDatabase {
  const database = {} as TestDatabase
  beforeAll(async () => {
    Object.assign(database, await createDatabase(options))
  })
  afterAll(() => database.drop?.())
  return database
}

/** The service's pools on a database, for the tests of one file. */
export function usePools(database: TestDatabase): Pools {
  const pools = {} as Pools
  beforeAll(() => {
    Object.assign(pools, openPools(database.address, TEST_SHARDS))
  })
  afterAll(() => pools.close?.())
  return pools
}
