import type { Amounts } from '../../events/amounts.ts'
import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'

/** Yields what an adoption counts, row by row, with the start of the bucket in which it counts. */
export function* amountsOf({ api_keys, keys }: Adoption): Iterable<[string, Amounts]> {
  for (const [i, time] of api_keys?.times.entries() ?? []) {
    const counts = { requests: [api_keys!.requests[i]!], successes: [api_keys!.successes[i]!] }
    const group = api_keys!.groups[i]!
    yield [
      time,
      {
        api_keys: { ids: [api_keys!.ids[i]!], ...counts },
        ...(group !== 0 && { provider_groups: { ids: [group], ...counts } }),
      },
    ]
  }
  for (const [i, time] of keys?.times.entries() ?? []) {
    const row = {
      hashes: [keys!.hashes[i]!],
      requests: [keys!.requests[i]!],
      tokens: [keys!.tokens[i]!],
      quota_used: [keys!.quota_used[i]!],
      last_accessed_at: [keys!.last_accessed_at[i]!],
    }
    yield [time, { keys: row }]
  }
}
