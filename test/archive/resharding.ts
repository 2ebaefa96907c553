import { afterAll, expect } from 'bun:test'
import { join } from 'node:path'
import { openReshardedSource } from '../../src/proofs/verifier/sources/resharded.ts'
import { reshardTestArchive, useFolder, writeTestArchive } from '../support/archive.ts'
import { isFull } from '../support/full.ts'
import { makeOrigin } from '../support/origin.ts'
import { createDatabaseOf, type TestDatabase } from '../support/server.ts'
import { startTestService } from '../support/service.ts'

// Logs, their archives, and the logs resharded from them.

/** Numbers of shards before and after resharding. */
const SOME_MOVES = [
  [1, 4],
  [4, 3],
] as const
const MORE_MOVES = [
  [2, 8],
  [4, 1],
] as const

export const MOVES = isFull ? [...SOME_MOVES, ...MORE_MOVES] : [...SOME_MOVES]

const folder = useFolder()
let archives = 0
/** Functions that end or remove what the tests opened, called in reverse order. */
const opened: (() => Promise<void>)[] = []

afterAll(endAll)

/** Ends everything opened so far. Call it only in files whose tests share nothing. */
export async function endAll(): Promise<void> {
  for (const end of opened.splice(0).reverse()) await end()
}

export async function makeDatabase(shards: number): Promise<TestDatabase> {
  const database = await createDatabaseOf(shards)
  opened.push(database.drop)
  return database
}

/** Starts a service with a new data directory that signs its log under this name. */
export async function start(name: string, shards: number, database?: TestDatabase) {
  const { dataDir, origin, remove } = await makeOrigin(name)
  opened.push(remove)
  const on = database ?? (await makeDatabase(shards))
  const service = await startTestService({ database: on, shards, origin })
  opened.push(service.stop)
  return { service, dataDir }
}

/** Returns the path of an archive that does not exist yet. */
export const nextArchive = () => join(folder.path, `archive-${++archives}`)

export type Old = Awaited<ReturnType<typeof start>>

/** Exports the log of a service with its signed tree heads. */
export async function exportSigned({ service, dataDir }: Old): Promise<string> {
  const archive = nextArchive()
  await writeTestArchive(service.database, archive, { dataDir })
  return archive
}

/** Exports the log of a service, and imports it with this number of shards. */
export async function reshard(old: Old, shards: number) {
  const archive = await exportSigned(old)
  const database = await makeDatabase(shards)
  expect(await reshardTestArchive(database, archive, shards)).toBe(null)
  return { archive, database }
}

export async function openResharded(archive: string) {
  return openReshardedSource(archive, ({ message }) => {
    throw new Error(message)
  })
}

export type Row = {
  shard: number
  position: string
  type: string
  version: number
  recorded_at: string
  source: string
  idempotency_key: string | null
  payload: string
  payload_sha256: string
}

export const readLog = ({ owner }: TestDatabase) => owner<Row[]>`
  select
    e.shard, e.position, e.type, e.version, e.source, e.idempotency_key,
    to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as recorded_at,
    e.payload::text as payload, encode(e.payload_sha256, 'hex') as payload_sha256
  from events e
  order by e.recorded_at, e.shard, e.position`

export const inOrder = (rows: readonly Row[]) =>
  [...rows].sort((a, b) => a.shard - b.shard || Number(a.position) - Number(b.position))
