import { hash } from 'node:crypto'
import { flag, requireTable, textsOf, toAccess, toTotals, toWhole } from '../columns.ts'
import type { OldDatabase, OldSystem } from '../old-books.ts'
import { booksOfTokens, type Counted, countOrphaned, NOTHING, type Token } from './tokens.ts'

/**
 * New API, and One API, from which it comes. A token is an API key and a token key here, both named
 * by the SHA-256 of the key that clients send: the database has its text, without `sk-`. The group
 * of a token, or else that of its user, is its provider group.
 */
export const newApi: OldSystem = {
  name: 'new-api',
  namedBy: 'external_id',
  databases: ['PostgreSQL', 'SQLite', 'MySQL'],
  quotaUnit: 'quota units of New API, of which 500,000 are one US dollar',
  read: async (database) => {
    const rows = await readTokens(database)
    const logs = await readLogs(database)
    const tokens = rows.map(({ id, ...row }) => ({ ...row, ...logs.byToken.get(id) }))
    return {
      ...booksOfTokens(tokens, await readTotals(database, logs.areKnown)),
      orphaned: countOrphaned(logs.byToken, new Set(rows.map(({ id }) => id))),
      notes: logs.notes,
    }
  },
}

/** A limit is not stored, but what remains of it, which may be below zero. */
async function readTokens(database: OldDatabase): Promise<(Token & { id: string })[]> {
  const { asText, count } = textsOf(database)
  const required = ['id', 'key', 'used_quota', 'remain_quota', 'unlimited_quota']
  const columns = await requireTable(database, 'tokens', required)
  const hasUsers = (await database.columnsOf('users')).has('group')
  const own = columns.has('group') ? `nullif(t."group", '')` : 'null'
  const rows = await database.select(`
    select ${asText('t.id')} as id, ${asText('t."key"')} as secret, t.name as name,
      ${count('t.used_quota')} as used, ${count('t.remain_quota')} as remaining,
      ${flag('t.unlimited_quota')} as unlimited,
      ${columns.has('accessed_time') ? count('t.accessed_time') : `'0'`} as accessed,
      ${columns.has('deleted_at') ? flag('t.deleted_at is not null') : `'0'`} as deleted,
      ${hasUsers ? `coalesce(${own}, u."group")` : own} as grp
    from tokens t${hasUsers ? ' left join users u on u.id = t.user_id' : ''}`)
  return rows.map((row) => {
    const at = `tokens ${row.id}`
    const used = toWhole(row.used, at)
    return {
      id: row.id!,
      ref: hash('sha256', `sk-${row.secret ?? ''}`, 'hex'),
      name: row.name ?? null,
      group: row.grp || null,
      ...{ ...NOTHING, used },
      limit: row.unlimited === '1' ? null : toWhole(row.remaining, at) + used,
      period: 'none',
      lastAccess: toAccess(row.accessed, at),
      isDeleted: row.deleted === '1',
    }
  })
}

/** The types of log lines: a request that was charged, and one that failed. */
const CONSUMED = 2
const FAILED = 5
const IS_REQUEST = `type in (${CONSUMED}, ${FAILED})`
const ofConsumed = (column: string) =>
  `coalesce(sum(case when type = ${CONSUMED} then ${column} end), 0)`
function logSums(database: OldDatabase): string {
  const { asText, count } = textsOf(database)
  return `
    ${asText('count(*)')} as requests,
    ${count(`sum(case when type = ${CONSUMED} then 1 end)`)} as successes,
    ${asText(`${ofConsumed('prompt_tokens')} + ${ofConsumed('completion_tokens')}`)} as tokens`
}

/** Requests and tokens are only in the log lines, which an administrator may have deleted. */
async function readLogs(database: OldDatabase) {
  const byToken = new Map<string, Counted>()
  const columns = await database.columnsOf('logs')
  if (!columns.has('token_id')) {
    const notes = ['The database has no log lines by token: requests and tokens begin at 0.']
    return { byToken, areKnown: false, notes }
  }
  const { count } = textsOf(database)
  const rows = await database.select(`
    select ${count('token_id')} as id, ${logSums(database)} from logs where ${IS_REQUEST}
    group by ${count('token_id')}`)
  for (const row of rows) {
    const { requests, successes, tokens } = toTotals(row)
    byToken.set(row.id!, { requests: requests!, successes: successes!, tokens: tokens! })
  }
  return { byToken, areKnown: true, notes: [] }
}

async function readTotals(database: OldDatabase, hasLogs: boolean) {
  const { asText, count } = textsOf(database)
  const [tokens] = await database.select(`
    select ${asText('count(*)')} as "rows", ${count('sum(used_quota)')} as used from tokens`)
  const none = { requests: '0', successes: '0', tokens: '0' }
  const [logs = none] = hasLogs
    ? await database.select(`
        select ${logSums(database)} from logs
        where ${IS_REQUEST} and token_id in (select id from tokens)`)
    : []
  return toTotals({ ...tokens!, ...logs })
}
