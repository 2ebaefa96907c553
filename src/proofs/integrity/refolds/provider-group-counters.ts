import type { Refold } from '../refold.ts'

/** Every group whose keys had requests while they were known; 0 is no group. */
export const providerGroupCounters: Refold = {
  projection: 'provider_group_counters',
  version: 1,
  group: 'current',
  tables: [
    {
      name: 'provider_group_counters',
      columns: { provider_group_id: 'bigint', requests: 'numeric', successes: 'numeric' },
      key: ['provider_group_id'],
      isSharded: true,
      fold: `
        insert into refold_provider_group_counters as r
        select c.group_id, sum(c.requests), sum(c.successes)
        from chunk_api_keys c
        where c.group_id > 0 and c.requests > 0
        group by c.group_id
        on conflict (provider_group_id) do update set
          requests = r.requests + excluded.requests,
          successes = r.successes + excluded.successes`,
    },
  ],
}
