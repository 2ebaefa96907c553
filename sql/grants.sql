-- All privileges of the service, whatever a migration has granted before. The service connects as
-- this role; only migrations run as the owner. Runs with every migration, and when a database was
-- restored without its grants.
grant usage on schema tallybook to tallybook_service;

grant select, insert on events to tallybook_service;
grant select, update on shards to tallybook_service;
grant select on migrations, segments, archived_segments, packed_keys, flush_entries
  to tallybook_service;
grant select, insert, update (hashes) on tiles to tallybook_service;
grant select, insert, update (revoked_at, row_sha256) on tokens to tallybook_service;
grant select, insert, delete on sessions to tallybook_service;
grant select, insert, update, delete on instances to tallybook_service;
grant select, insert, update on tree_heads to tallybook_service;
grant select, insert, update, delete on accepted_days, accepted_counts to tallybook_service;
grant select, insert, delete on accepted_values to tallybook_service;
grant select, insert, update, delete on
  source_folds, source_positions, sources, source_epochs, rule_folds, rule_events, crossings
  to tallybook_service;
grant select, insert, update, delete on webhooks, webhook_deliveries to tallybook_service;
grant select, insert,
  update (finished_at, positions, events, problems, report, row_sha256)
  on verifications to tallybook_service;
grant select, insert, update, delete on
  projections, checkpoints, parked_events, rebuilds,
  api_key_counters, provider_group_counters, key_counters,
  api_key_usage, provider_group_usage, key_usage, key_period_usage,
  api_key_backdated_usage, provider_group_backdated_usage, key_backdated_usage,
  api_key_measures, provider_group_measures, key_measures,
  api_key_parts, provider_group_parts, key_parts,
  api_key_backdated_parts, provider_group_backdated_parts, key_backdated_parts,
  api_key_daily_usage, provider_group_daily_usage, key_daily_usage,
  api_key_daily_parts, provider_group_daily_parts, key_daily_parts,
  api_key_monthly_usage, provider_group_monthly_usage, key_monthly_usage,
  api_key_monthly_parts, provider_group_monthly_parts, key_monthly_parts,
  api_key_snapshots, provider_group_snapshots, key_snapshots,
  api_key_measure_snapshots, provider_group_measure_snapshots, key_measure_snapshots,
  provider_groups, api_keys, keys,
  provider_group_versions, api_key_versions, key_versions,
  dimensions, dimension_versions, measures, measure_versions,
  acts, openings, quota_resets, unknown_keys, unknown_parts, unknown_usage, unknown_taken
  to tallybook_service;

-- Events of the archive are read in temporary tables.
do $$
begin
  if not has_database_privilege('tallybook_service', current_database(), 'temporary') then
    execute format('grant temporary on database %I to tallybook_service', current_database());
  end if;
end
$$;
