import { EVERYTHING, type Scope } from '../../read-model/queries/scope.ts'
import { Problem } from '../problem.ts'

type ScopeQuery = { group_id?: string; api_key_id?: string; token_hash?: string }

/** Returns the scope that a query names, or all provider groups if it names none. */
export function readScope({ group_id, api_key_id, token_hash }: ScopeQuery): Scope {
  const named: Scope[] = []
  if (group_id !== undefined) named.push({ kind: 'provider_group', account: Number(group_id) })
  if (api_key_id !== undefined) named.push({ kind: 'api_key', account: Number(api_key_id) })
  if (token_hash !== undefined) named.push({ kind: 'key', account: token_hash })
  if (named.length > 1) {
    const detail = 'Send only one of `group_id`, `api_key_id` and `token_hash`.'
    throw new Problem(400, 'invalid query', detail)
  }
  return named[0] ?? EVERYTHING
}
