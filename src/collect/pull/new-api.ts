import { hash } from 'node:crypto'
import { requireTable, textsOf } from '../../move-in/columns.ts'
import type { OldDatabase } from '../../move-in/old-books.ts'
import { inOldSnapshot } from '../../move-in/old-database.ts'
import type { Mapping } from '../mapping.ts'
import { PAGE, type Source } from './source.ts'

/** Units of a quota that are one dollar, unless the table `options` has another number. */
const QUOTA_PER_DOLLAR = 500_000

/** Seconds that the newest lines wait: ids are given before lines are committed. */
const SETTLE_SECONDS = 10

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

/**
 * The table `logs` of New API, or of One API, where lines of type 5 are tests of channels. Lines
 * are read in the order of their ids.
 */
export function newApiSource(location: string, isOneApi: boolean): Source {
  const types = isOneApi ? '2' : '2, 5'
  return {
    mapping: MAPPING,
    begin: (from) =>
      from === 'start'
        ? Promise.resolve('0')
        : inOldSnapshot(location, async (database) => {
            const { count } = textsOf(database)
            const [row] = await database.select(`select ${count('max(id)')} as id from logs`)
            return row!.id!
          }),
    read: (cursor) =>
      inOldSnapshot(location, async (database) => {
        const rows = await readLines(database, types, cursor)
        const perDollar = await readQuotaPerDollar(database)
        return {
          records: rows.flatMap((row) => toRecord(row, perDollar)),
          cursor: rows.at(-1)?.id ?? cursor,
          isFull: rows.length === PAGE,
        }
      }),
  }
}

async function readLines(database: OldDatabase, types: string, cursor: string) {
  const required = ['id', 'created_at', 'type', 'token_name', 'model_name', 'quota']
  const columns = await requireTable(database, 'logs', required)
  const tokens = await database.columnsOf('tokens')
  const { asText } = textsOf(database)
  const optional = ['token_id', 'group', 'other', 'username', 'prompt_tokens', 'completion_tokens']
  const selected = [...required, ...optional]
    .filter((name) => columns.has(name))
    .map((name) => `${asText(`l."${name}"`)} as "${name}"`)
  const hasKeys = columns.has('token_id') && tokens.has('key')
  const newest = Math.floor(Date.now() / 1_000) - SETTLE_SECONDS
  return database.select(`
    select ${selected.join(', ')}${hasKeys ? `, ${asText('t."key"')} as secret` : ''}
    from logs l${hasKeys ? ' left join tokens t on t.id = l.token_id' : ''}
    where l.id > ${BigInt(cursor)} and l.type in (${types}) and l.created_at <= ${newest}
    order by l.id
    limit ${PAGE}`)
}

async function readQuotaPerDollar(database: OldDatabase): Promise<number> {
  if (!(await database.columnsOf('options')).has('value')) return QUOTA_PER_DOLLAR
  const [row] = await database.select(`select value from options where "key" = 'QuotaPerUnit'`)
  return Number(row?.value) || QUOTA_PER_DOLLAR
}

/** A line as a record, without secrets; none for a line that corrects what was charged. */
function toRecord(line: Record<string, string | null>, perDollar: number): unknown[] {
  const { secret, ...fields } = line
  const quota = Number(fields.quota)
  if (quota < 0) return []
  const other = parseObject(fields.other)
  const failed = fields.type === '5'
  return [
    {
      ...fields,
      ...(secret && { key_hash: hash('sha256', `sk-${secret}`, 'hex') }),
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
