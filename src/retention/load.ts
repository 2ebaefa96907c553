import type { StoredEvent } from '../events/event.ts'
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

/**
 * Inserts events of one shard, of the archive, into a table with the columns of the log. A text for
 * each column takes two thirds of a JSON document of all of them. Sources and keys are JSON: they
 * may have any character.
 */
export async function insertEvents(
  transaction: Transaction,
  table: string,
  events: readonly StoredEvent[],
): Promise<void> {
  if (events.length === 0) return
  const texts = (textOf: (event: StoredEvent) => string | number) =>
    transaction`string_to_table(${events.map(textOf).join(SEPARATOR)}::text, ${SEPARATOR}::text)`
  const names = (nameOf: (event: StoredEvent) => string | null) =>
    transaction`json_array_elements_text(${JSON.stringify(events.map(nameOf))}::text::json)`
  await transaction`
    insert into ${transaction(table)} (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      ${events[0]!.shard}::integer, f.position::bigint, f.type, f.version::smallint,
      f.recorded_at::timestamptz, f.source, f.idempotency_key, f.payload::json,
      decode(f.payload_sha256, 'hex')
    from rows from (
        ${texts(({ position }) => position)}, ${names(({ type }) => type)},
        ${texts(({ version }) => version)}, ${texts(({ recordedAt }) => recordedAt)},
        ${names(({ source }) => source)}, ${names(({ idempotencyKey }) => idempotencyKey)},
        ${texts(({ payload }) => payload)}, ${texts(({ payloadSha256 }) => payloadSha256)}
      ) as f(
        position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
      )`
}
