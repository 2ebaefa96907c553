import type { DetailColumns } from '../../events/amounts.ts'
import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'
import type { UnknownKind } from '../../events/unknown.ts'
import { CombinationList } from '../combination-list.ts'
import { DetailRows } from '../posted-amounts.ts'
import type { Used } from './used.ts'

/** An API key, and its group: 0 for none. */
export type ApiKey = { id: number; group: number }

/** How names count: for which API keys, and whether the tokens of a token key use up a quota. */
type Attribution = {
  apiKeys: ReadonlyMap<string, ApiKey>
  isTracked: ReadonlyMap<string, boolean>
}

/** Returns the adoption of what was used. */
export function toAdoption(
  covered: Pick<Adoption, 'heads' | 'until'>,
  used: Record<UnknownKind, readonly Used[]>,
  { apiKeys, isTracked }: Attribution,
): Adoption {
  const hasDetails = Object.values(used).some((rows) => rows.some(hasCombination))
  const combinations = new CombinationList()
  const detailsOf = (rows: readonly Used[]) =>
    hasDetails ? toDetailColumns(rows, combinations) : {}
  const { api_key, key } = used
  const api_keys = api_key.length > 0 && {
    ids: api_key.map(({ name }) => apiKeys.get(name)!.id),
    groups: api_key.map(({ name }) => apiKeys.get(name)!.group),
    names: api_key.map(({ name }) => name),
    times: api_key.map(({ time }) => time),
    requests: api_key.map(({ requests }) => requests),
    successes: api_key.map(({ seconds }) => seconds),
    flushes: api_key.map(({ flushes }) => flushes),
    ...detailsOf(api_key),
  }
  const keys = key.length > 0 && {
    hashes: key.map(({ name }) => name),
    times: key.map(({ time }) => time),
    requests: key.map(({ requests }) => requests),
    tokens: key.map(({ seconds }) => seconds),
    quota_used: key.map(({ name, seconds }) => (isTracked.get(name) ? seconds : 0)),
    last_accessed_at: key.map(({ accessed }) => accessed),
    flushes: key.map(({ flushes }) => flushes),
    ...detailsOf(key),
  }
  return {
    ...covered,
    ...(hasDetails && { combinations: combinations.texts }),
    ...(api_keys && { api_keys }),
    ...(keys && { keys }),
  }
}

const hasCombination = ({ combination }: Used) => combination !== null

function toDetailColumns(rows: readonly Used[], combinations: CombinationList): DetailColumns {
  const columns = new DetailRows()
  for (const { combination, measures } of rows) {
    columns.push(combinations.indexOf(combination), measures)
  }
  return columns.toColumns()
}
