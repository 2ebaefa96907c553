import { flag, requireTable, seconds, textsOf, toAccess, toTotals, toWhole } from '../columns.ts'
import type { OldBooks, OldDatabase, OldSystem } from '../old-books.ts'

/** The gateway whose counter rows this service replaces: ids and hashes are those of flushes. */
export const ezApi: OldSystem = {
  name: 'ez-api',
  namedBy: 'id',
  databases: ['PostgreSQL', 'SQLite'],
  quotaUnit: null,
  read: async (database) => {
    const groups = await readRated(database, 'provider_groups')
    const apiKeys = await readRated(database, 'api_keys', ['group_id'])
    const keys = await readKeys(database)
    return {
      groups: groups.rows.map(({ group, ...row }) => row),
      apiKeys: apiKeys.rows,
      keys: keys.rows,
      totals: { groups: groups.totals, apiKeys: apiKeys.totals, keys: keys.totals },
      orphaned: 0n,
      notes: [],
    }
  },
}

const nameOf = (columns: Map<string, string>) => (columns.has('name') ? 'name' : 'null as name')

/** Rows that the gateway deletes softly have a `deleted_at`. */
const deletedOf = (columns: Map<string, string>) =>
  columns.has('deleted_at') ? flag('deleted_at is not null') : `'0'`

async function readRated(database: OldDatabase, table: string, more: string[] = []) {
  const { asText, count } = textsOf(database)
  const counts = ['total_requests', 'success_requests']
  const columns = await requireTable(database, table, ['id', ...more, ...counts])
  const group = more.length > 0 ? count('group_id') : `'0'`
  const rows = await database.select(`
    select ${asText('id')} as ref, ${nameOf(columns)}, ${group} as grp,
      ${count('total_requests')} as requests, ${count('success_requests')} as successes,
      ${deletedOf(columns)} as deleted
    from ${table}`)
  const [totals] = await database.select(`
    select ${asText('count(*)')} as "rows", ${count('sum(total_requests)')} as requests,
      ${count('sum(success_requests)')} as successes
    from ${table}`)
  return {
    totals: toTotals(totals!),
    rows: rows.map((row) => ({
      ref: row.ref ?? '',
      name: row.name ?? null,
      group: row.grp === '0' ? null : row.grp!,
      requests: toWhole(row.requests, `${table} ${row.ref}`),
      successes: toWhole(row.successes, `${table} ${row.ref}`),
      isDeleted: row.deleted === '1',
    })),
  }
}

async function readKeys(
  database: OldDatabase,
): Promise<{ rows: OldBooks['keys']; totals: OldBooks['totals']['keys'] }> {
  const { asText, count } = textsOf(database)
  const counts = ['request_count', 'used_tokens', 'quota_limit', 'quota_used']
  const columns = await requireTable(database, 'keys', ['token_hash', ...counts])
  const access = columns.get('last_accessed_at')
  const rows = await database.select(`
    select ${asText('token_hash')} as ref, ${nameOf(columns)},
      ${count('request_count')} as requests, ${count('used_tokens')} as tokens,
      ${count('quota_used')} as used, ${asText('coalesce(quota_limit, -1)')} as quota_limit,
      ${access === undefined ? 'null' : seconds(database, 'last_accessed_at', access)} as accessed,
      ${deletedOf(columns)} as deleted
    from keys`)
  const [totals] = await database.select(`
    select ${asText('count(*)')} as "rows", ${count('sum(request_count)')} as requests,
      ${count('sum(used_tokens)')} as tokens, ${count('sum(quota_used)')} as used
    from keys`)
  return {
    totals: toTotals(totals!),
    rows: rows.map((row) => {
      const at = `keys ${row.ref}`
      const limit = toWhole(row.quota_limit, at)
      return {
        ref: row.ref ?? '',
        name: row.name ?? null,
        group: null,
        requests: toWhole(row.requests, at),
        tokens: toWhole(row.tokens, at),
        used: toWhole(row.used, at),
        limit: limit === -1n ? null : limit,
        period: 'none',
        lastAccess: toAccess(row.accessed, at),
        isDeleted: row.deleted === '1',
      }
    }),
  }
}
