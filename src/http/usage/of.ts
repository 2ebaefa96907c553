import type { UsageOf } from '../../read-model/queries/usage-rows.ts'
import { Problem } from '../problem.ts'

type OfQuery = { group_id?: string; api_key_id?: string; token_hash?: string }

/** Whose usage a query names; without any name, that of all. */
export function readUsageOf({ group_id, api_key_id, token_hash }: OfQuery): UsageOf {
  const named: UsageOf[] = []
  if (group_id !== undefined) named.push({ kind: 'group', id: Number(group_id) })
  if (api_key_id !== undefined) named.push({ kind: 'api_key', id: Number(api_key_id) })
  if (token_hash !== undefined) named.push({ kind: 'key', hash: token_hash })
  if (named.length > 1) {
    throw new Problem(400, 'invalid query', 'Name one of group_id, api_key_id and token_hash.')
  }
  return named[0] ?? { kind: 'all' }
}
