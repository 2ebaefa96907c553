import type { LineEvent } from '../events/event-line.ts'
import { formatPositions } from '../events/positions.ts'
import { readHeads } from '../log/read.ts'
import { isDuplicate } from '../platform/postgres/errors.ts'
import { ShardsDiffer } from '../platform/postgres/migrate.ts'
import { type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import type { Problem } from './check.ts'

/**
 * Maximum size of a statement: a few megabytes, so that the cost of a round trip and of planning is
 * negligible.
 */
const BATCH = { events: 5_000, characters: 4 * 1024 * 1024 }

/** Maximum characters in the incomplete batches of all shards. */
const MAX_WAITING = 32 * 1024 * 1024

/** Separates two payloads of a batch. JSON can contain it only as `\u001e`. */
const SEPARATOR = '\x1e'

/**
 * Runs `work` in a transaction that has locked an empty log of `shards` shards. If anything fails
 * before its end, the log stays empty. Throws UserError, and ShardsDiffer if the log has another
 * number of shards.
 *
 * Locks: every shard's row, until commit.
 */
export async function fillEmptyLog<Value>(
  sql: Sql,
  shards: number,
  work: (transaction: Transaction) => Promise<Value>,
): Promise<Value> {
  try {
    return await transact(sql, '', async (transaction) => {
      // Reading files between two statements may take a while, but an import that froze must
      // release its locks.
      await transaction`set local idle_in_transaction_session_timeout = '60s'`
      await lockEmptyLog(transaction, shards)
      return await work(transaction)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new UserError(REPEATED_KEY)
  }
}

const REPEATED_KEY = 'The archive has two events with the same source and idempotency key.'

/** Throws UserError if two events have the same key: an index finds those of one segment only. */
export async function refuseRepeatedKeys(sql: Transaction): Promise<void> {
  const [row] = await sql<{ spans: boolean }[]>`
    select exists (
      select
      from segments g
      where g.first_position > 0
        and exists (select from events e where e.shard = g.shard and e.position >= g.first_position)
    ) as spans`
  if (!row!.spans) return
  const repeated = await sql`
    select
    from events e
    where e.idempotency_key is not null
    group by e.shard, e.source, e.idempotency_key
    having count(*) > 1
    limit 1`
  if (repeated.length > 0) throw new UserError(REPEATED_KEY)
}

async function lockEmptyLog(transaction: Transaction, shards: number): Promise<void> {
  const [row] = await transaction`select count(*)::integer as shards from shards`
  if (row!.shards !== shards) throw new ShardsDiffer(row!.shards, shards)
  // One by one, in the order in which a catalog change locks them.
  for (let shard = 0; shard < shards; shard++) {
    await transaction`select from shards s where s.shard = ${shard} for update`
  }
  const heads = await readHeads(transaction)
  const events = heads.reduce((sum, head) => sum + head + 1, 0)
  if (events === 0) return
  throw new UserError(
    `The log is not empty: it has ${events} events, up to ${formatPositions(heads)}. ` +
      'An archive can only be imported into an empty one.',
  )
}

/** An event's row: its leaf as JSON, and its payload, which is passed separately and unchanged. */
export type Row = { leaf: string; event: Pick<LineEvent, 'shard' | 'position' | 'payload'> }

/** Inserts rows in batches, each of one shard and in the given order. */
export class Inserts {
  readonly #batches = new Map<number, Batch>()
  #characters = 0
  /** The batch being inserted while the next one is filled. */
  #inserting: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly transaction: Transaction,
    private readonly options: {
      signal: AbortSignal
      reserve: (shard: number, through: number) => Promise<void>
    },
    private readonly onInserted: (events: number) => void,
  ) {}

  /** Adds a row to its shard's batch, and inserts a batch that is full. */
  async add(row: Row): Promise<void> {
    const { shard, payload } = row.event
    const batch = this.#batches.get(shard) ?? { rows: [], characters: 0 }
    this.#batches.set(shard, batch)
    batch.rows.push(row)
    // Leaves count too: if payloads are short, leaves make up most of the batch.
    const characters = payload.length + row.leaf.length
    batch.characters += characters
    this.#characters += characters
    if (batch.rows.length >= BATCH.events || batch.characters >= BATCH.characters) {
      await this.#insert(shard)
    } else if (this.#characters >= MAX_WAITING) await this.#insert(this.#findLargest())
  }

  /** Inserts all remaining rows. */
  async end(): Promise<void> {
    for (const shard of this.#batches.keys()) await this.#insert(shard)
    await this.#inserting
  }

  async #insert(shard: number): Promise<void> {
    const { rows, characters } = this.#batches.get(shard)!
    this.#batches.delete(shard)
    this.#characters -= characters
    await this.#inserting
    const { signal, reserve } = this.options
    // And one more, for an event that is appended in the same transaction.
    await reserve(shard, rows.at(-1)!.event.position + 1)
    signal.throwIfAborted()
    this.#inserting = insertRows(this.transaction, shard, rows)
    this.#inserting.catch(() => {})
    this.onInserted(rows.length)
  }

  #findLargest(): number {
    let largest = -1
    for (const [shard, { characters }] of this.#batches) {
      if (characters > (this.#batches.get(largest)?.characters ?? -1)) largest = shard
    }
    return largest
  }
}

type Batch = { rows: Row[]; characters: number }

function insertRows(transaction: Transaction, shard: number, rows: readonly Row[]) {
  const leaves = `[${rows.map(({ leaf }) => leaf).join(',')}]`
  const payloads = rows.map(({ event }) => event.payload).join(SEPARATOR)
  return transaction`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      s.shard, f.position, f.type, f.version, f.recorded_at, f.source, f.idempotency_key,
      f.payload::json, decode(f.payload_sha256, 'hex')
    from shards s
      cross join rows from (
        json_to_recordset(${leaves}::text::json) as (
          position bigint, type text, version smallint, recorded_at timestamptz, source text,
          idempotency_key text, payload_sha256 text
        ),
        string_to_table(${payloads}::text, ${SEPARATOR}::text)
      ) as f(
        position, type, version, recorded_at, source, idempotency_key, payload_sha256, payload
      )
    where s.shard = ${shard}`.execute()
}

/** Ends an import at a problem. Throws UserError. */
export function refuse({ file, at, message }: Problem): never {
  throw new UserError(`Nothing was imported. ${file}${at === null ? '' : ` ${at}`}: ${message}.`)
}
