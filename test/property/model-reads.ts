import type { Model } from './model.ts'
import { periodOf } from './quota.ts'

/** A row as the service writes it, with integers as bigints; see `readExact`. */
export type ExactRow = Record<string, bigint | number | string | boolean | null | Measured>

/** The totals of measures by name. */
type Measured = Record<string, bigint>

/** Returns GET /admin/apikey-stats/summary: the sum of all groups, retired ones included. */
export function summaryOf({ groups }: Model): ExactRow {
  const rows = [...groups.values()]
  return rated(sumOf(rows.map((row) => row.requests)), sumOf(rows.map((row) => row.successes)))
}

/** Returns the rows of GET /admin/provider-groups?ended=true by id. */
export function groupRowsOf({ groups, declared }: Model): Map<string, ExactRow> {
  return mapRows(groups, (id, { external_id, name, ended, requests, successes, measures }) => ({
    id: BigInt(id),
    external_id,
    name,
    ...rated(requests, successes),
    ...(ended ? { ended_at: true } : {}),
    ...declared.measured(measures),
  }))
}

/** Returns the rows of GET /admin/api-keys?ended=true by id. */
export function apiKeyRowsOf({ apiKeys, declared }: Model): Map<string, ExactRow> {
  return mapRows(apiKeys, (id, row) => ({
    id: BigInt(id),
    external_id: row.external_id,
    group_id: BigInt(row.group_id),
    name: row.name,
    ...rated(row.requests, row.successes),
    ...(row.ended ? { ended_at: true } : {}),
    ...declared.measured(row.measures),
  }))
}

/** Returns the rows of GET /admin/keys?ended=true by token hash. */
export function keyRowsOf({ keys, quotas, declared }: Model): Map<string, ExactRow> {
  return mapRows(keys, (hash, key) => {
    const { name, ended, quota_limit, used, last } = key
    return {
      token_hash: hash,
      name,
      request_count: used.requests,
      used_tokens: used.tokens,
      quota_limit: BigInt(quota_limit),
      quota_used: quotas.usedOf(hash, key),
      last_accessed_at: last === 0n ? null : isoSeconds(last),
      ...(ended ? { ended_at: true } : {}),
      ...periodOf(key),
      ...declared.measured(key.measures),
    }
  })
}

/** Returns totals with the failures and rates that follow from them. */
export function rated(total: bigint, success: bigint): ExactRow {
  const failure = total - success
  const rate = (count: bigint) => (total === 0n ? 0 : Number(count) / Number(total))
  return {
    total_requests: total,
    success_requests: success,
    failure_requests: failure,
    success_rate: rate(success),
    failure_rate: rate(failure),
  }
}

const sumOf = (numbers: bigint[]) => numbers.reduce((sum, number) => sum + number, 0n)

const isoSeconds = (seconds: bigint) =>
  new Date(Number(seconds) * 1000).toISOString().replace('.000Z', '+00:00')

function mapRows<Id extends number | string, Row>(
  rows: Map<Id, Row>,
  toRow: (id: Id, row: Row) => ExactRow,
): Map<string, ExactRow> {
  return new Map([...rows].map(([id, row]) => [String(id), toRow(id, row)]))
}
