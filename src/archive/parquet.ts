import { type FileHandle, open } from 'node:fs/promises'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { readHeads } from '../log/read.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { openDraft } from './draft.ts'
import { EntryColumns, SCHEMA } from './entry-columns.ts'
import { readPages } from './pages.ts'
import { writeAll } from './part.ts'

/** Number of rows at which a row group is written. Until then, they are held in memory. */
const GROUP_ROWS = 100_000

/** Options of an export to Parquet. */
export type ParquetOptions = {
  sql: Sql
  file: string
  version: string
  signal: AbortSignal
  onProgress: (events: number, total: number) => void
}

/** The number of events read, of entries written, and of events that could not be decoded. */
export type ParquetOutcome = { events: number; entries: number; unreadable: number }

/**
 * Writes the entries of all flushes and acts, up to the current heads, to a new Parquet file: one
 * row per entry, in the order of the log. The file appears when it is complete and on disk. Throws
 * UserError if it exists.
 */
export async function writeParquet(options: ParquetOptions): Promise<ParquetOutcome> {
  const draft = await openDraft(options.file)
  try {
    const file = await open(draft.path, 'wx', 0o600)
    let outcome: ParquetOutcome
    try {
      outcome = await writeEntries(options, file)
      await file.sync()
    } finally {
      await file.close()
    }
    options.signal.throwIfAborted()
    await draft.publish()
    return outcome
  } catch (error) {
    await draft.discard()
    throw error
  }
}

async function writeEntries(options: ParquetOptions, file: FileHandle): Promise<ParquetOutcome> {
  const { sql, signal, onProgress, version } = options
  const bytes = new FileBytes(file)
  const createdBy = `tallybook version ${version}`
  const writer = new ParquetWriter({ writer: bytes, schema: SCHEMA, createdBy })
  const outcome = { events: 0, entries: 0, unreadable: 0 }
  // Shard 0 comes first: no act names a measure before the change that declares it.
  const measureNames = new Map<number, string>()
  let group = new EntryColumns(measureNames)
  const endGroup = async () => {
    if (group.rows === 0) return
    await writer.write({ columnData: group.columns(), rowGroupSize: group.rows })
    outcome.entries += group.rows
    group = new EntryColumns(measureNames)
  }
  const heads = await readHeads(sql)
  const total = heads.reduce((sum, head) => sum + head + 1, 0)
  for (const [shard, head] of heads.entries()) {
    for await (const page of readPages(sql, { shard, head }, signal)) {
      for (const event of page) {
        if (!group.add(event)) outcome.unreadable++
        if (group.rows >= GROUP_ROWS) await endGroup()
      }
      outcome.events += page.length
      onProgress(outcome.events, total)
    }
  }
  await endGroup()
  await writer.finish()
  return outcome
}

/** Collects bytes, and writes them to the file after each row group and at the end. */
class FileBytes extends ByteWriter {
  constructor(private readonly file: FileHandle) {
    super()
  }

  async flush(): Promise<void> {
    await writeAll(this.file, new Uint8Array(this.buffer, 0, this.index))
    this.index = 0
  }

  override finish(): Promise<void> {
    return this.flush()
  }
}
