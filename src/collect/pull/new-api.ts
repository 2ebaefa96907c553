import { hash } from 'node:crypto'
import { requireTable, textsOf } from '../../move-in/columns.ts'
import type { OldDatabase } from '../../move-in/old-books.ts'
import { inOldSnapshot } from '../../move-in/old-database.ts'
import type { Mapping } from '../mapping.ts'
import { PAGE, type Place, type Source } from './source.ts'

/** Units of a quota that are one dollar, unless the table `options` has another number. */
const QUOTA_PER_DOLLAR = 500_000

const MAPPING: Mapping = {
  id: ['id'],
  // As `tallybook move-in` names tokens: by the SHA-256 of what clients send.
  key: 'key_hash | token_id | token_name',
  name: 'token_name',
  group: 'group',
  time: 'created_at',
  status: 'status',
  error: 'error',
  tokens: {
    input: 'prompt_tokens',
    cache_read: 'other.cache_tokens',
    cache_write: 'other.cache_creation_tokens',
    output: 'completion_tokens',
  },
  cost: 'cost',
  dimensions: { model: 'other.upstream_model_name | model_name' },
}

type Line = Record<string, string | null>

/** Values of the main database: secrets of tokens by their ids, and the price of quota. */
type Main = { secrets: ReadonlyMap<string, string>; perDollar: number }

/**
 * The table `logs` of New API, or of One API, where lines of type 5 are tests of channels. Lines
 * are read in the order of their ids, which are given before lines are committed: so a line is read
 * when its id, or a greater one, was seen `settleMs` ago. Their times can't tell, because those of
 * neighbours are in any order. `main` is where the other tables are, if `logs` has a
 * database of its own (LOG_SQL_DSN).
 */
export function newApiSource(
  { location, main, settleMs }: Omit<Place, 'secret'>,
  isOneApi: boolean,
): Source {
  const types = isOneApi ? '2' : '2, 5'
  const settle = makeSettle(settleMs)
  return {
    mapping: MAPPING,
    begin: (from) =>
      from === 'start' ? Promise.resolve('0') : inOldSnapshot(location, readNewestId),
    read: async (cursor) => {
      const { lines, own } = await inOldSnapshot(location, async (database) => {
        const through = settle(BigInt(await readNewestId(database)))
        const lines = through === null ? [] : await readLines(database, types, cursor, through)
        return { lines, own: main === null ? await readMain(database, lines) : null }
      })
      if (lines.length === 0) return { records: [], cursor, isFull: false }
      const known = own ?? (await inOldSnapshot(main!, (database) => readMain(database, lines)))
      return {
        records: lines.flatMap((line) => toRecord(line, known)),
        cursor: lines.at(-1)!.id!,
        isFull: lines.length === PAGE,
      }
    },
  }
}

/**
 * Returns a function that is told the newest id, and returns the one that was the newest a time
 * ago; null if it was not told for as long.
 */
function makeSettle(settleMs: number): (newest: bigint) => bigint | null {
  const seen: { id: bigint; at: number }[] = []
  return (newest) => {
    const now = performance.now()
    if (seen.at(-1)?.id !== newest) seen.push({ id: newest, at: now })
    while (seen.length > 1 && seen[1]!.at <= now - settleMs) seen.shift()
    return seen[0]!.at <= now - settleMs ? seen[0]!.id : null
  }
}

async function readNewestId(database: OldDatabase): Promise<string> {
  await requireTable(database, 'logs', ['id'])
  const [row] = await database.select(
    `select ${textsOf(database).count('max(id)')} as id from logs`,
  )
  return row!.id!
}

async function readLines(
  database: OldDatabase,
  types: string,
  cursor: string,
  through: bigint,
): Promise<Line[]> {
  const required = ['id', 'created_at', 'type', 'token_name', 'model_name', 'quota']
  const columns = await requireTable(database, 'logs', required)
  const { asText } = textsOf(database)
  const optional = ['token_id', 'group', 'other', 'username', 'prompt_tokens', 'completion_tokens']
  const selected = [...required, ...optional]
    .filter((name) => columns.has(name))
    .map((name) => `${asText(`"${name}"`)} as "${name}"`)
  return database.select(`
    select ${selected.join(', ')}
    from logs l
    where l.id > ${BigInt(cursor)} and l.id <= ${through} and l.type in (${types})
    order by l.id
    limit ${PAGE}`)
}

async function readMain(database: OldDatabase, lines: readonly Line[]): Promise<Main> {
  const ids = new Set(lines.flatMap(({ token_id }) => token_id ?? []))
  const hasTokens = (await database.columnsOf('tokens')).has('key')
  const { asText } = textsOf(database)
  const rows =
    ids.size === 0 || !hasTokens
      ? []
      : await database.select(`
          select ${asText('id')} as id, ${asText('"key"')} as secret
          from tokens
          where id in (${[...ids].map(BigInt).join(', ')})`)
  const secrets = new Map(rows.flatMap(({ id, secret }) => (secret ? [[id!, secret]] : [])))
  return { secrets, perDollar: await readQuotaPerDollar(database) }
}

async function readQuotaPerDollar(database: OldDatabase): Promise<number> {
  if (!(await database.columnsOf('options')).has('value')) return QUOTA_PER_DOLLAR
  const [row] = await database.select(`select value from options where "key" = 'QuotaPerUnit'`)
  return Number(row?.value) || QUOTA_PER_DOLLAR
}

/** A line as a record, without secrets; none for a line that corrects what was charged. */
function toRecord(fields: Line, { secrets, perDollar }: Main): unknown[] {
  const secret = secrets.get(fields.token_id ?? '')
  const quota = Number(fields.quota)
  if (quota < 0) return []
  const other = parseObject(fields.other)
  const failed = fields.type === '5'
  return [
    {
      ...fields,
      // Lines of older versions, and what was charged for a task later, have no token.
      token_id: fields.token_id === '0' ? null : fields.token_id,
      ...(secret !== undefined && { key_hash: hash('sha256', `sk-${secret}`, 'hex') }),
      other,
      cost: quota / perDollar,
      status: failed ? (other.status_code ?? 'error') : 200,
      error: failed ? (other.error_type ?? 'error') : null,
      // Anthropic's usage excludes the cache.
      prompt_tokens:
        other.usage_semantic === 'anthropic' || other.claude === true
          ? Number(fields.prompt_tokens) +
            Number(other.cache_tokens ?? 0) +
            Number(other.cache_creation_tokens ?? 0)
          : fields.prompt_tokens,
    },
  ]
}

function parseObject(text: string | null | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text || '{}')
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
