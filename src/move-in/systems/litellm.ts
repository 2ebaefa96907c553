import { hash } from 'node:crypto'
import { requireTable, seconds, textsOf, toAccess, toTotals } from '../columns.ts'
import { toMicros } from '../micros.ts'
import type { DatabaseTotals, OldDatabase, OldSystem } from '../old-books.ts'
import { booksOfTokens, type Counted, countOrphaned, NOTHING, type Token } from './tokens.ts'

/**
 * LiteLLM. A virtual key is an API key and a token key here, both named by its hash, as in
 * docs/guides/litellm.md. Its team is its provider group. Budgets and what was spent of them are
 * quotas in millionths of a dollar.
 */
export const liteLlm: OldSystem = {
  name: 'litellm',
  namedBy: 'external_id',
  databases: ['PostgreSQL'],
  quotaUnit: 'millionths of a US dollar',
  read: async (database) => {
    const usage = await readUsage(database)
    const current = await readKeys(database, TOKENS, usage.byKey)
    const hashes = new Set(current.map(({ ref }) => ref))
    const deleted = (await readKeys(database, DELETED, usage.byKey)).filter(
      ({ ref }) => !hashes.has(ref),
    )
    const rows = [...current, ...newestOf(deleted)]
    const names = await readTeams(database)
    const books = booksOfTokens(rows, await readTotals(database, usage, deleted.length > 0))
    return {
      ...books,
      groups: books.groups
        .filter(({ ref }) => names.has(ref))
        .map((group) => ({ ...group, name: names.get(group.ref) ?? null })),
      orphaned: countOrphaned(usage.byKey, new Set(rows.map(({ ref }) => ref))),
      notes: [`Requests and tokens are those of ${usage.table}.`],
    }
  },
}

const TOKENS = 'LiteLLM_VerificationToken'
const DELETED = 'LiteLLM_DeletedVerificationToken'
const DAILY = 'LiteLLM_DailyUserSpend'
const LOGS = 'LiteLLM_SpendLogs'

/** The hash of a key, also of one that a very old version has stored as text. */
const toHash = (token: string | null | undefined) =>
  token?.startsWith('sk-') ? hash('sha256', token, 'hex') : (token ?? '')

/**
 * Where requests and tokens of keys are: in the sums by day, which newer versions have and which
 * stay when log lines are deleted, or else in the log lines.
 */
async function readUsage(database: OldDatabase) {
  const { asText, count } = textsOf(database)
  const daily = await database.columnsOf(DAILY)
  const logs = await database.columnsOf(LOGS)
  const hasStatus = logs.has('status')
  const sums = daily.has('successful_requests')
    ? `${count('sum(api_requests)')} as requests, ${count('sum(successful_requests)')} as successes,
       ${asText('coalesce(sum(prompt_tokens), 0) + coalesce(sum(completion_tokens), 0)')} as tokens`
    : `${asText('count(*)')} as requests, ${asText(
        hasStatus ? `count(*) filter (where status is distinct from 'failure')` : 'count(*)',
      )} as successes, ${count('sum(total_tokens)')} as tokens`
  const table = daily.has('successful_requests') ? DAILY : LOGS
  const byKey = new Map<string, Counted>()
  const rows = await database.select(`select api_key, ${sums} from "${table}" group by api_key`)
  for (const row of rows) {
    const { requests, successes, tokens } = toTotals({ ...row, api_key: '0' })
    byKey.set(toHash(row.api_key), { requests: requests!, successes: successes!, tokens: tokens! })
  }
  return { table, sums, byKey }
}

/** The budget of a key is its own, or else the one that its budget has. */
async function readKeys(
  database: OldDatabase,
  table: string,
  usage: Map<string, Counted>,
): Promise<Token[]> {
  const { asText } = textsOf(database)
  const isOptional = table === DELETED
  if (isOptional && (await database.columnsOf(table)).size === 0) return []
  const columns = await requireTable(database, table, [
    ...['token', 'key_alias', 'spend', 'team_id', 'max_budget', 'budget_duration', 'budget_id'],
  ])
  const active = columns.get('last_active')
  const hasBudgets = (await database.columnsOf('LiteLLM_BudgetTable')).size > 0
  const budget = (column: string) =>
    hasBudgets ? `coalesce(t.${column}, b.${column})` : `t.${column}`
  const rows = await database.select(`
    select t.token as ref, t.key_alias as name, t.team_id as grp,
      ${asText('coalesce(t.spend, 0)')} as spend, ${asText(budget('max_budget'))} as budget,
      ${budget('budget_duration')} as duration,
      ${active === undefined ? 'null' : seconds(database, 't.last_active', active)} as accessed
    from "${table}" t
    ${hasBudgets ? 'left join "LiteLLM_BudgetTable" b on b.budget_id = t.budget_id' : ''}
    ${isOptional ? 'order by t.deleted_at, t.id' : ''}`)
  return rows.map((row) => ({
    ref: toHash(row.ref),
    name: row.name ?? null,
    group: row.grp || null,
    ...(usage.get(toHash(row.ref)) ?? NOTHING),
    used: toMicros(row.spend!),
    limit: row.budget === null ? null : toMicros(row.budget!),
    period: row.budget === null ? 'none' : toPeriod(row.duration!),
    lastAccess: toAccess(row.accessed, toHash(row.ref)),
    isDeleted: isOptional,
  }))
}

/** A key that was deleted more than once is the one that was deleted last, which comes last. */
const newestOf = (deleted: readonly Token[]): Token[] => [
  ...new Map(deleted.map((row) => [row.ref, row])).values(),
]

/** LiteLLM begins these durations at midnight, on Monday, and on the first of the month. */
const PERIODS: Record<string, string> = {
  ...{ '1d': 'day', '24h': 'day', '7d': 'week', '1w': 'week', '30d': 'month', '1mo': 'month' },
}

function toPeriod(duration: string | null): string {
  if (duration === null || /^\s*(?:none|null)?\s*$/i.test(duration)) return 'none'
  return PERIODS[duration] ?? duration
}

async function readTeams(database: OldDatabase): Promise<Map<string, string | null>> {
  const teams = await database.select('select team_id, team_alias from "LiteLLM_TeamTable"')
  return new Map(teams.map(({ team_id, team_alias }) => [team_id!, team_alias ?? null]))
}

async function readTotals(
  database: OldDatabase,
  { table, sums }: { table: string; sums: string },
  hasDeleted: boolean,
): Promise<DatabaseTotals> {
  const { asText, count } = textsOf(database)
  const deleted = `
    union all
    select * from (
      select distinct on (token) token, spend from "${DELETED}"
      where token not in (select token from "${TOKENS}")
      order by token, deleted_at desc, id desc) d`
  const keys = `(select token, spend from "${TOKENS}" ${hasDeleted ? deleted : ''}) k`
  const [rows] = await database.select(`
    select ${asText('count(*)')} as "rows",
      ${count('sum(round(spend::text::numeric * 1000000))')} as used
    from ${keys}`)
  const [usage] = await database.select(`
    select ${sums} from "${table}" where api_key in (select token from ${keys})`)
  return toTotals({ ...rows!, ...usage! })
}
