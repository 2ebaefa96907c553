-- The periods after which the quotas of token keys begin anew, and their time zones; null for none
-- and for UTC. No event before this migration has one, so the catalog that was folded from them is
-- complete.
alter table keys add column quota_period text, add column quota_tz text;
alter table key_versions add column quota_period text, add column quota_tz text;

-- Finds out at once that no key has a period.
create index keys_quota_period on keys (generation, quota_period, quota_tz)
  where quota_period is not null;
create index key_versions_quota_period on key_versions (generation, quota_period, quota_tz)
  where quota_period is not null;

-- The quarter hour in which quota periods count what an act counts in none. Acts before this
-- migration get theirs when the projection is rebuilt, which the start after it does.
alter table acts add column quarter timestamptz;

-- From when on the quota of a token key counts from 0, by the positions of the resets.
create table quota_resets (
  generation integer not null,
  token_hash text not null,
  position bigint not null,
  reset_at timestamptz not null,
  primary key (generation, token_hash, position)
);
