import type { StoredEvent } from '../events/event.ts'
import { toLeaf } from '../events/leaf.ts'
import { type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'

/** Separates two payloads. JSON can contain it only as `\u001e`. */
const SEPARATOR = '\x1e'

/**
 * Runs `read` in a transaction whose `events` has these events of one shard, and no others: a
 * temporary table hides the log. So every statement that reads the log reads them as well.
 * Functions still read the log. The pool must not prepare statements, because a prepared one keeps
 * the table that it was planned for.
 */
export async function readLoaded<Value>(
  sql: Sql,
  events: readonly StoredEvent[],
  read: (sql: Transaction) => Promise<Value>,
): Promise<Value> {
  return transact(sql, 'read write', async (transaction) => {
    await transaction.unsafe(CREATE)
    await insertEvents(transaction, 'events', events)
    return await read(transaction)
  })
}

/** Payloads are stored as in the log, because reads ask for the size of what is stored. */
const CREATE = `
  create temporary table events (
    like tallybook.events including storage, primary key (shard, position)
  ) on commit drop`

/** Inserts events of the archive into a table with the columns of the log. */
export async function insertEvents(
  transaction: Transaction,
  table: string,
  events: readonly StoredEvent[],
): Promise<void> {
  const leaves = `[${events.map((event) => toLeaf(event)).join(',')}]`
  const payloads = events.map(({ payload }) => payload).join(SEPARATOR)
  await transaction`
    insert into ${transaction(table)} (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      f.shard, f.position, f.type, f.version, f.recorded_at, f.source, f.idempotency_key,
      f.payload::json, decode(f.payload_sha256, 'hex')
    from rows from (
        json_to_recordset(${leaves}::text::json) as (
          shard integer, position bigint, type text, version smallint, recorded_at timestamptz,
          source text, idempotency_key text, payload_sha256 text
        ),
        string_to_table(${payloads}::text, ${SEPARATOR}::text)
      ) as f(
        shard, position, type, version, recorded_at, source, idempotency_key, payload_sha256,
        payload
      )`
}
