import type { Amounts, DetailColumns } from '../../events/amounts.ts'
import type { Adoption } from '../../events/types/unknown-keys-adopted.ts'

/** Yields what an adoption counts, row by row, with the start of the bucket in which it counts. */
export function* amountsOf({
  api_keys,
  keys,
  combinations,
}: Adoption): Iterable<[string, Amounts]> {
  const texts = combinations && { combinations }
  for (const [i, time] of api_keys?.times.entries() ?? []) {
    const counts = {
      ...{ requests: [api_keys!.requests[i]!], successes: [api_keys!.successes[i]!] },
      ...(texts && rowDetails(api_keys!, i)),
    }
    const group = api_keys!.groups[i]!
    yield [
      time,
      {
        ...texts,
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
      ...(texts && rowDetails(keys!, i)),
    }
    yield [time, { ...texts, keys: row }]
  }
}

const rowDetails = ({ combination, measures = {} }: DetailColumns, i: number): DetailColumns => ({
  combination: [combination![i]!],
  measures: Object.fromEntries(
    Object.entries(measures).map(([number, column]) => [number, [column[i]!]]),
  ),
})
