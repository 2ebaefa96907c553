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
