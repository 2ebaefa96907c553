import { isDuplicate } from '../db/errors.ts'
import { type Sql, type Transaction, transact } from '../db/pool.ts'
import { formatPositions } from '../events/positions.ts'
import { readHeads } from '../log/read.ts'
import { StartError } from '../start-error.ts'
import { type CheckedEvent, checkParts, type Problem } from './check.ts'
import type { Manifest } from './manifest.ts'
import { checkSignedHeads } from './transparency.ts'

/** One statement: a few megabytes, so that a round trip and a plan are nothing beside it. */
const BATCH = { events: 5_000, characters: 4 * 1024 * 1024 }

/** Stands between two payloads of a batch: JSON can hold it only as `\u001e`. */
const SEPARATOR = '\x1e'

export type ImportOptions = {
  /** As the service's role: an import may do no more than an append. */
  sql: Sql
  directory: string
  manifest: Manifest
  signal: AbortSignal
  onProgress: (events: number, total: number) => void
}

/**
 * Inserts an archive into an empty log, and checks it on the way. All in one transaction: a
 * problem, an abort or a kill before its end leaves the log empty, and no reader sees a half.
 * Throws StartError.
 *
 * Locks: every shard's row, until commit. An append of a running service waits for 5 s, then tells
 * its clients to come back; after the commit it finds its catalog stale and folds the imported one.
 */
export async function importArchive(options: ImportOptions): Promise<void> {
  await checkSignedHeads(options.directory, options.manifest, refuse)
  try {
    await transact(options.sql, '', async (transaction) => {
      // Reading files between two statements may take a while, but an import that froze lets go.
      await transaction`set local idle_in_transaction_session_timeout = '60s'`
      await lockEmptyLog(transaction, options.manifest)
      const catalogPosition = await insertAll(transaction, options)
      await transaction`update shards s set catalog_position = ${catalogPosition}`
      options.signal.throwIfAborted()
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new StartError('The archive has two events of one source with one idempotency key.')
  }
}

async function lockEmptyLog(transaction: Transaction, { shards }: Manifest): Promise<void> {
  const [row] = await transaction`select count(*)::integer as shards from shards`
  if (row!.shards !== shards.length) {
    throw new StartError(
      `The archive is of ${shards.length} shard(s), and the database was made with ` +
        `${row!.shards}: it needs another database.`,
    )
  }
  // One by one, in the order in which a change of the catalog takes them.
  for (const { shard } of shards) {
    await transaction`select from shards s where s.shard = ${shard} for update`
  }
  const heads = await readHeads(transaction)
  const events = heads.reduce((sum, head) => sum + head + 1, 0)
  if (events === 0) return
  throw new StartError(
    `The log is not empty: it has ${events} events, up to ${formatPositions(heads)}. ` +
      'An archive can only be imported into an empty one.',
  )
}

/** Gives the position of the last CatalogChanged on shard 0, -1 where there is none. */
async function insertAll(transaction: Transaction, options: ImportOptions): Promise<number> {
  const { directory, manifest, signal, onProgress } = options
  let catalogPosition = -1
  let imported = 0
  let batch: CheckedEvent[] = []
  let characters = 0
  // One batch is being inserted while the next is read.
  let inserting: Promise<unknown> = Promise.resolve()
  const insert = async () => {
    await inserting
    signal.throwIfAborted()
    inserting = insertBatch(transaction, batch)
    inserting.catch(() => {})
    imported += batch.length
    onProgress(imported, manifest.events)
    batch = []
    characters = 0
  }
  for await (const events of checkParts(directory, manifest, refuse)) {
    for (const checked of events) {
      const { shard, position, type, payload } = checked.event
      if (shard === 0 && type === 'CatalogChanged') catalogPosition = position
      // A statement names one shard.
      if (batch[0] && batch[0].event.shard !== shard) await insert()
      batch.push(checked)
      characters += payload.length
      if (batch.length >= BATCH.events || characters >= BATCH.characters) await insert()
    }
  }
  if (batch.length > 0) await insert()
  await inserting
  return catalogPosition
}

/** A leaf is the row of its event as JSON; only the payload goes beside it, untouched. */
function insertBatch(transaction: Transaction, batch: CheckedEvent[]) {
  const rows = `[${batch.map(({ leaf }) => leaf).join(',')}]`
  const payloads = batch.map(({ event }) => event.payload).join(SEPARATOR)
  return transaction`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      s.shard, f.position, f.type, f.version, f.recorded_at, f.source, f.idempotency_key,
      f.payload::json, decode(f.payload_sha256, 'hex')
    from shards s
      cross join rows from (
        json_to_recordset(${rows}::text::json) as (
          position bigint, type text, version smallint, recorded_at timestamptz, source text,
          idempotency_key text, payload_sha256 text
        ),
        string_to_table(${payloads}::text, ${SEPARATOR}::text)
      ) as f(
        position, type, version, recorded_at, source, idempotency_key, payload_sha256, payload
      )
    where s.shard = ${batch[0]!.event.shard}`.execute()
}

function refuse({ file, at, message }: Problem): never {
  throw new StartError(`Nothing was imported. ${file}${at === null ? '' : ` ${at}`}: ${message}.`)
}
