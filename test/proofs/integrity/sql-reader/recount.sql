-- The sums of a whole log, filled chunk by chunk, and those that the projections have. Rows of zeros
-- are left out of both.
create temporary table counted (
  kind text,
  account text,
  quarter timestamptz,
  requests numeric,
  seconds numeric,
  quota_used numeric,
  last_accessed_at bigint
);

create temporary table unknown_counted (like chunk_unknown);

create function pg_temp.generation_of(p_projection text) returns integer
language sql as $$
  select p.generation from tallybook.projections p where p.projection = p_projection
$$;

create temporary view recounted_totals as
select concat_ws(
  ' ', c.kind, c.account, sum(c.requests), sum(c.seconds), sum(c.quota_used),
  max(c.last_accessed_at)
) as row
from counted c
group by c.kind, c.account
having sum(c.requests) <> 0 or sum(c.seconds) <> 0 or sum(c.quota_used) <> 0
  or max(c.last_accessed_at) > 0;

create temporary view projected_totals as
select concat_ws(
  ' ', 'api_key', t.api_key_id, sum(t.requests), sum(t.successes), 0, 0
) as row
from tallybook.api_key_counters t
where t.generation = pg_temp.generation_of('api_key_counters')
group by t.api_key_id
having sum(t.requests) <> 0 or sum(t.successes) <> 0
union all
select concat_ws(' ', 'provider_group', t.provider_group_id, sum(t.requests), sum(t.successes), 0, 0)
from tallybook.provider_group_counters t
where t.generation = pg_temp.generation_of('provider_group_counters')
group by t.provider_group_id
having sum(t.requests) <> 0 or sum(t.successes) <> 0
union all
select concat_ws(
  ' ', 'key', t.token_hash, sum(t.requests), sum(t.tokens), sum(t.quota_used),
  max(t.last_accessed_at)
)
from tallybook.key_counters t
where t.generation = pg_temp.generation_of('key_counters')
group by t.token_hash
having sum(t.requests) <> 0 or sum(t.tokens) <> 0 or sum(t.quota_used) <> 0
  or max(t.last_accessed_at) > 0;

create temporary view recounted_usage as
select concat_ws(
  ' ', c.kind, c.account, c.quarter, sum(c.requests), sum(c.seconds), sum(c.quota_used)
) as row
from counted c
group by c.kind, c.account, c.quarter
having sum(c.requests) <> 0 or sum(c.seconds) <> 0 or sum(c.quota_used) <> 0;

create temporary view projected_usage as
select concat_ws(
  ' ', u.kind, u.account, u.quarter, sum(u.requests), sum(u.seconds), sum(u.quota_used)
) as row
from (
  select 'api_key' as kind, u.generation, u.api_key_id::text as account, u.quarter, u.requests,
    u.successes as seconds, 0 as quota_used
  from tallybook.api_key_usage u
  union all
  select 'api_key', u.generation, u.api_key_id::text, u.quarter, u.requests, u.successes, 0
  from tallybook.api_key_backdated_usage u
  union all
  select 'provider_group', u.generation, u.provider_group_id::text, u.quarter, u.requests,
    u.successes, 0
  from tallybook.provider_group_usage u
  union all
  select 'provider_group', u.generation, u.provider_group_id::text, u.quarter, u.requests,
    u.successes, 0
  from tallybook.provider_group_backdated_usage u
  union all
  select 'key', u.generation, u.token_hash, u.quarter, u.requests, u.tokens, u.quota_used
  from tallybook.key_usage u
  union all
  select 'key', u.generation, u.token_hash, u.quarter, u.requests, u.tokens, u.quota_used
  from tallybook.key_backdated_usage u
) u
where u.generation = pg_temp.generation_of('usage')
group by u.kind, u.account, u.quarter
having sum(u.requests) <> 0 or sum(u.seconds) <> 0 or sum(u.quota_used) <> 0;

create temporary view recounted_unknown as
select concat_ws(
  ' ', u.kind, u.name, u.quarter, sum(u.requests), sum(u.seconds), max(u.last_accessed_at),
  sum(u.flushes)
) as row
from unknown_counted u
group by u.kind, u.name, u.quarter
having sum(u.requests) <> 0 or sum(u.seconds) <> 0 or sum(u.flushes) <> 0;

create temporary view projected_unknown as
select concat_ws(
  ' ', u.kind, u.name, u.quarter, sum(u.requests), sum(u.seconds), max(u.last_accessed_at),
  sum(u.flushes)
) as row
from tallybook.unknown_usage u
where u.generation = pg_temp.generation_of('bookkeeping')
group by u.kind, u.name, u.quarter
having sum(u.requests) <> 0 or sum(u.seconds) <> 0 or sum(u.flushes) <> 0;
