import type { Refold } from '../refold.ts'

/** Every known key that had requests. */
export const apiKeyCounters: Refold = {
  projection: 'api_key_counters',
  version: 1,
  group: 'current',
  tables: [
    {
      name: 'api_key_counters',
      columns: { api_key_id: 'bigint', requests: 'numeric', successes: 'numeric' },
      key: ['api_key_id'],
      isSharded: true,
      fold: `
        insert into refold_api_key_counters as r
        select c.api_key_id, sum(c.requests), sum(c.successes)
        from chunk_api_keys c
        where c.group_id is not null and c.requests > 0
        group by c.api_key_id
        on conflict (api_key_id) do update set
          requests = r.requests + excluded.requests,
          successes = r.successes + excluded.successes`,
    },
  ],
}
