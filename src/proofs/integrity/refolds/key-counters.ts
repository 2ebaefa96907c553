import type { Refold } from '../refold.ts'

/** Every known token key that a flush brought anything but zeros. */
export const keyCounters: Refold = {
  projection: 'key_counters',
  version: 2,
  group: 'current',
  tables: [
    {
      name: 'key_counters',
      columns: {
        token_hash: 'text',
        requests: 'numeric',
        tokens: 'numeric',
        quota_used: 'numeric',
        last_accessed_at: 'bigint',
      },
      key: ['token_hash'],
      isSharded: true,
      fold: `
        insert into refold_key_counters as r
        select
          c.token_hash, sum(c.requests), sum(c.tokens), sum(c.quota_used), max(c.last_accessed_at)
        from chunk_keys c
        group by c.token_hash
        on conflict (token_hash) do update set
          requests = r.requests + excluded.requests,
          tokens = r.tokens + excluded.tokens,
          quota_used = r.quota_used + excluded.quota_used,
          last_accessed_at = greatest(r.last_accessed_at, excluded.last_accessed_at)`,
    },
  ],
}
