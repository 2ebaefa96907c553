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

/** What an event takes after it was appended: bytes, and µs of a processor. */
export type StorageRow = {
  keys: number
  /** Its row and index entries, and its hashes in tiles. */
  logBytes: number
  tileBytes: number
  /** In an archive (NDJSON, gzip), and as rows of a Parquet file. */
  archiveBytes: number
  parquetBytes: number
  /** Of the database, to add it to the tiles. */
  integrateUs: number
  /** Of who reads and folds it from the log: a projector that didn't append it, or a rebuild. */
  foldUs: number
}

/** Events before the measured ones: what a process takes to start is no part of them. */
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
    const a = (total: number) => total / events
    const integrateUs = a(await integrateAll(owner)) * 1e6
    const foldUs = a(Math.max(0, (await fold(address)) - firstFold)) * 1e6
    return {
      keys,
      logBytes: a((await sizeOf(owner, '^events$')) - before.log),
      tileBytes: a((await sizeOf(owner, '^tiles$')) - before.tiles),
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

/** Seconds that a process takes which folds what is new in the log into the current counters. */
async function fold(address: Address): Promise<number> {
  const args = ['fold', JSON.stringify(address)]
  return (await runMeasuredChild('readers/read-log.ts', args)).cpuSeconds
}

/** Adds what is new to the tiles; gives the seconds that its backend took. */
async function integrateAll(owner: Sql): Promise<number> {
  const [row] = await owner`select pg_backend_pid() as pid`
  const seconds = async () => (await readProcess(Number(row!.pid)))!.seconds
  await owner`set search_path to tallybook`
  const before = await seconds()
  while ((await integrateEvents(owner, 0)) > 0);
  return (await seconds()) - before
}

/** Of tables by name, those of all generations. */
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
