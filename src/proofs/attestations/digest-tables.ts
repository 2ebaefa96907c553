import { createHash } from 'node:crypto'
import {
  ATTESTED_TABLES,
  type AttestedColumns,
  type AttestedTable,
  DECLARED,
  KEY_COLUMNS,
} from '../../events/digest.ts'
import type { Attestation } from '../../events/statement.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { PROJECTIONS } from '../../read-model/projections/index.ts'
import { type Checkpoint, readCheckpoints } from '../../read-model/projector/checkpoint.ts'

/** Rows that the database joins to one text of about 50 kB. */
const CHUNK_ROWS = 1_000
/** Texts held in memory at once. */
const CHUNKS = 8

const TIMES = ['quarter', 'ended_at']
const TEXTS = ['token_hash', 'name', 'combination']

/** Where an attestation starts: everything if null. */
export type AttestedRange = {
  /** The start of the first bucket of usage. */
  from: string | null
  /** The position after which backdated usage was recorded. */
  after: number | null
  /** The same for parts of usage. */
  partsFrom: string | null
  partsAfter: number | null
}

/**
 * Digests the tables of a shard's live projections in the transaction's snapshot; usage only in a
 * range. Memory stays bounded for any number of rows, and the thread can serve other requests in
 * between.
 */
export async function digestTables(
  transaction: Transaction,
  shard: number,
  { from, after, partsFrom, partsAfter }: AttestedRange,
): Promise<Attestation> {
  const { checkpoints } = await readCheckpoints(transaction, shard, PROJECTIONS)
  const catalog = findCheckpoint('measures', checkpoints)
  const hasDeclared = await hasEverDeclared(transaction, catalog)
  const tables: Attestation['tables'] = []
  for (const [table, attested] of Object.entries<AttestedColumns>(ATTESTED_TABLES)) {
    const { kind, since } = attested
    if (since === DECLARED && !hasDeclared) continue
    if (kind === 'catalog' && shard !== 0) continue
    const { generation, position } = findCheckpoint(table, checkpoints)
    const range = {
      ...(kind === 'usage' && from !== null && { from }),
      ...(kind === 'backdated' && after !== null && { after }),
      ...(kind === 'parts' && partsFrom !== null && { from: partsFrom }),
      ...(kind === 'backdated_parts' && partsAfter !== null && { after: partsAfter }),
    }
    const { rows, sha256 } = await digestRows(
      transaction,
      selectLines(table as AttestedTable, attested, range),
      [generation, ...(kind === 'catalog' ? [] : [shard]), ...Object.values(range)],
    )
    tables.push({ table, position, ...range, rows, sha256 })
  }
  const counters = findCheckpoint('provider_group_counters', checkpoints)
  return { tables, totals: await readTotals(transaction, shard, counters) }
}

async function hasEverDeclared(
  transaction: Transaction,
  { generation }: Checkpoint,
): Promise<boolean> {
  const [row] = await transaction<{ has_declared: boolean }[]>`
    select exists(select from dimensions d where d.generation = ${generation})
      or exists(select from measures m where m.generation = ${generation}) as has_declared`
  return row!.has_declared
}

function findCheckpoint(table: string, checkpoints: readonly Checkpoint[]): Checkpoint {
  const projection = PROJECTIONS.find(({ tables }) => tables.some(({ name }) => name === table))
  return checkpoints.find((one) => one.projection === projection?.name)!
}

/** Returns a query for texts of many rows each, in the order of the table's key. */
function selectLines(
  table: AttestedTable,
  { columns, kind, optional = 0 }: AttestedColumns,
  range: { from?: string; after?: number },
): string {
  const keys = columns.slice(0, KEY_COLUMNS[kind])
  const order = keys.map((key) => `t.${key}${TEXTS.includes(key) ? ' collate "C"' : ''}`)
  const conditions = [
    't.generation = $1',
    ...(kind === 'catalog' ? [] : ['t.shard = $2']),
    ...('from' in range ? ['t.quarter >= $3::timestamptz'] : []),
    ...('after' in range ? ['t.position > $3::bigint'] : []),
  ]
  const required = columns.slice(0, columns.length - optional).map(toText)
  const rest = columns.slice(columns.length - optional).map((_, i, all) => optionalText(all, i))
  return `
    select string_agg(r.line, '' order by r.number) as lines, count(*)::integer as rows
    from (
      select
        '[' || ${required.join(` || ',' || `)}${rest.join('')} || e']\\n' as line,
        row_number() over (order by ${order.join(', ')}) as number
      from ${table} t
      where ${conditions.join(' and ')}
    ) r
    group by (r.number - 1) / ${CHUNK_ROWS}
    order by (r.number - 1) / ${CHUNK_ROWS}`
}

/**
 * Returns SQL to append: an optional column and the comma before it, or nothing if the column and
 * all after it are null.
 */
function optionalText(columns: readonly string[], i: number): string {
  const rest = columns.slice(i).map((column) => `t.${column}`)
  const text = `',' || coalesce(to_json(t.${columns[i]})::text, 'null')`
  return ` || case when num_nonnulls(${rest.join(', ')}) = 0 then '' else ${text} end`
}

/** Returns the SQL expression that formats a column as `formatDigestRow` does. */
function toText(column: string): string {
  if (TIMES.includes(column)) {
    const time = `coalesce(${toMicroseconds(`t.${column}`)}, t.${column}::text)`
    return `coalesce('"' || ${time} || '"', 'null')`
  }
  if (TEXTS.includes(column)) return `coalesce(to_json(t.${column})::text, 'null')`
  if (column === 'measures') return 'array_to_json(t.measures)::text'
  return `t.${column}::text`
}

async function digestRows(
  transaction: Transaction,
  query: string,
  parameters: (string | number)[],
): Promise<{ rows: number; sha256: string }> {
  const digest = createHash('sha256')
  let rows = 0
  const chunks = transaction.unsafe<{ lines: string; rows: number }[]>(query, parameters)
  for await (const texts of chunks.cursor(CHUNKS)) {
    for (const { lines, rows: count } of texts) {
      digest.update(lines)
      rows += count
    }
  }
  return { rows, sha256: digest.digest('hex') }
}

async function readTotals(
  transaction: Transaction,
  shard: number,
  { generation, position }: Checkpoint,
): Promise<Attestation['totals']> {
  const [row] = await transaction<{ requests: string; successes: string }[]>`
    select coalesce(sum(t.requests), 0) as requests, coalesce(sum(t.successes), 0) as successes
    from provider_group_counters t
    where t.shard = ${shard} and t.generation = ${generation}`
  return { position, requests: row!.requests, successes: row!.successes }
}
