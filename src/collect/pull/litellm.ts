import { requireTable } from '../../move-in/columns.ts'
import { inOldSnapshot } from '../../move-in/old-database.ts'
import type { Mapping } from '../mapping.ts'
import { PAGE, type Source } from './source.ts'

const TABLE = 'LiteLLM_SpendLogs'

/** LiteLLM writes its lines up to minutes later, in any order: so much is read again each time. */
const OVERLAP = '15 minutes'

const MAPPING: Mapping = {
  except: [
    { path: 'cache_hit', in: ['True', 'true'] },
    { path: 'api_key', in: ['litellm-internal-health-check'] },
  ],
  id: ['request_id', 'status'],
  key: 'api_key',
  name: 'alias',
  group: 'custom_llm_provider',
  time: 'ended_at',
  status: 'status',
  error: 'error_code',
  tokens: {
    input: 'prompt_tokens',
    cache_read: 'usage.cache_read_input_tokens | usage.prompt_tokens_details.cached_tokens',
    cache_write: 'usage.cache_creation_input_tokens',
    output: 'completion_tokens',
    reasoning: 'usage.completion_tokens_details.reasoning_tokens',
  },
  cost: 'spend',
  dimensions: {
    model: 'model | model_group',
    provider: 'custom_llm_provider',
    operation: 'call_type',
  },
}

/**
 * LiteLLM's table of spend. The cursor has the time and id of the last line that was read, and the
 * time from which on lines are read at all. Lines of the last 15 minutes are read again.
 */
export function liteLlmSource(url: string): Source {
  const begin = (from: 'now' | 'start') =>
    from === 'start'
      ? Promise.resolve('1970-01-01 00:00:00||1970-01-01 00:00:00')
      : inOldSnapshot(url, async (database) => {
          const [row] = await database.select(
            `select (now() at time zone 'utc')::timestamp(3)::text as at`,
          )
          return `${row!.at}||${row!.at}`
        })
  return {
    mapping: MAPPING,
    begin,
    read: (cursor) =>
      inOldSnapshot(url, async (database) => {
        const [at, id, floor] = cursor.split('|') as [string, string, string]
        const columns = await requireTable(database, TABLE, ['request_id', 'api_key', 'startTime'])
        const status = columns.has('status') ? 'status' : `'success'`
        const rows = await database.select(`
          select request_id, call_type, api_key, spend::text as spend,
            prompt_tokens::text as prompt_tokens, completion_tokens::text as completion_tokens,
            "startTime"::text as started_at, floor(extract(epoch from "endTime"))::text as ended_at,
            model, ${columns.has('model_group') ? 'model_group' : 'null as model_group'},
            custom_llm_provider, cache_hit, coalesce(${status}, 'success') as status,
            metadata->>'user_api_key_alias' as alias,
            coalesce(metadata->'usage_object', metadata->'additional_usage_values')::text as usage,
            metadata->'error_information'->>'error_code' as error_code
          from "${TABLE}"
          where ("startTime", request_id) > (${quote(at)}::timestamp, ${quote(id)})
          order by "startTime", request_id
          limit ${PAGE}`)
        const last = rows.at(-1)
        const isFull = rows.length === PAGE
        const records = rows.map(({ usage, ...row }) => ({ ...row, usage: parse(usage) }))
        if (isFull)
          return { records, cursor: `${last!.started_at}|${last!.request_id}|${floor}`, isFull }
        const [row] = await database.select(`
          select greatest(${quote(floor)}::timestamp,
            least(${quote(last?.started_at ?? at)}::timestamp,
            (now() at time zone 'utc')::timestamp(3) - interval '${OVERLAP}'))::text as at`)
        return { records, cursor: `${row!.at}||${floor}`, isFull }
      }),
  }
}

const quote = (text: string) => `'${text.replaceAll("'", "''")}'`

function parse(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return null
  }
}
