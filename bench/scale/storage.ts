import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeParquet } from '../../src/archive/parquet.ts'
import { writeArchive } from '../../src/archive/write.ts'
import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../src/proofs/transparency/integrate.ts'
import { runMeasuredChild } from '../child.ts'
import { startHistory } from '../history.ts'
import type { Address, BenchServer } from '../server.ts'
import { readProcess } from './processes.ts'

/** Costs of an event after its append: bytes, and processor time (µs). */
export type StorageRow = {
  keys: number
  /** Row and index entries, and hashes in tiles. */
  logBytes: number
  tileBytes: number
  /** Share of an archive (NDJSON, gzip), and of a Parquet file. */
  archiveBytes: number
  parquetBytes: number
  /** Time of the database to add it to the tiles. */
  integrateUs: number
  /** Time to read it from the log and fold it, as a rebuild or a projector on another instance. */
  foldUs: number
}

/** Events before the measured ones, to exclude the start of a process. */
const FIRST = 200

export async function measureStorage(
  server: BenchServer,
  [keys, events]: [number, number],
): Promise<StorageRow> {
  const name = `costs_storage_${keys}`
  const address = await server.createDatabase(name)
  const history = await startHistory(address, { keysPerFlush: keys })
  const owner = connectAsOwner(address)
  try {
    await history.extendTo(FIRST)
    const firstFold = await fold(address)
    await integrateAll(owner)
    const before = { log: await sizeOf(owner, '^events$'), tiles: await sizeOf(owner, '^tiles$') }
    await history.extendTo(FIRST + events)
    const perEvent = (total: number) => total / events
    const integrateUs = perEvent(await integrateAll(owner)) * 1e6
    const foldUs = perEvent(Math.max(0, (await fold(address)) - firstFold)) * 1e6
    return {
      keys,
      logBytes: perEvent((await sizeOf(owner, '^events$')) - before.log),
      tileBytes: perEvent((await sizeOf(owner, '^tiles$')) - before.tiles),
      ...(await measureFiles(owner, FIRST + events)),
      integrateUs,
      foldUs,
    }
  } finally {
    await owner.end({ timeout: 1 })
    await history.close()
    await server.dropDatabase(name)
  }
}

/** Folds new events into the current counters in a process. Returns its processor time (s). */
async function fold(address: Address): Promise<number> {
  const args = ['fold', JSON.stringify(address)]
  return (await runMeasuredChild('readers/read-log.ts', args)).cpuSeconds
}

/** Adds new events to the tiles. Returns the processor time (s) of the backend. */
async function integrateAll(owner: Sql): Promise<number> {
  const [row] = await owner`select pg_backend_pid() as pid`
  const seconds = async () => (await readProcess(Number(row!.pid)))!.seconds
  await owner`set search_path to tallybook`
  const before = await seconds()
  while ((await integrateEvents(owner, 0)) > 0);
  return (await seconds()) - before
}

/** Reads the total size (bytes) of the tables that match, of all generations. */
export async function sizeOf(owner: Sql, pattern: string): Promise<number> {
  const [row] = await owner`
    select coalesce(sum(pg_total_relation_size(c.oid)), 0)::float8 as bytes
    from pg_class c
    where c.relnamespace = 'tallybook'::regnamespace and c.relkind = 'r' and c.relname ~ ${pattern}`
  return row!.bytes as number
}

async function measureFiles(owner: Sql, events: number) {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-archive-'))
  const common = { sql: owner, version: 'bench', signal: new AbortController().signal }
  const options = { ...common, onProgress: () => {} }
  try {
    const archive = join(folder, 'archive')
    await writeArchive({ ...options, directory: archive })
    const file = join(folder, 'entries.parquet')
    await writeParquet({ ...options, file })
    const parquetBytes = (await stat(file)).size / events
    return { archiveBytes: (await sizeOfFolder(archive)) / events, parquetBytes }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function sizeOfFolder(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(({ parentPath, name }) => stat(join(parentPath, name))))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}
