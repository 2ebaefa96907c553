// The placement of the schema's tables on Citus. Every table is in exactly one of these lists.

/**
 * Distributed by `shard`: a shard's rows of all these tables are on one node. `events` comes first,
 * because the others are colocated with it.
 */
export const DISTRIBUTED_TABLES = [
  ...['events', 'shards', 'segments', 'archived_segments', 'packed_keys', 'tiles'],
  ...['checkpoints', 'parked_events'],
  ...['api_key_counters', 'provider_group_counters', 'key_counters'],
  ...['api_key_usage', 'provider_group_usage', 'key_usage', 'key_period_usage'],
  ...['api_key_backdated_usage', 'provider_group_backdated_usage', 'key_backdated_usage'],
  ...['api_key_measures', 'provider_group_measures', 'key_measures'],
  ...['api_key_parts', 'provider_group_parts', 'key_parts'],
  ...['api_key_backdated_parts', 'provider_group_backdated_parts', 'key_backdated_parts'],
  ...['api_key_daily_usage', 'provider_group_daily_usage', 'key_daily_usage'],
  ...['api_key_daily_parts', 'provider_group_daily_parts', 'key_daily_parts'],
  ...['api_key_monthly_usage', 'provider_group_monthly_usage', 'key_monthly_usage'],
  ...['api_key_monthly_parts', 'provider_group_monthly_parts', 'key_monthly_parts'],
  ...['api_key_snapshots', 'provider_group_snapshots', 'key_snapshots'],
  ...['api_key_measure_snapshots', 'provider_group_measure_snapshots', 'key_measure_snapshots'],
  ...['unknown_keys', 'unknown_usage', 'unknown_parts'],
  ...['accepted_days', 'accepted_values', 'accepted_counts'],
] as const

/** Copied to every node, because statements join them with the distributed tables. */
export const REFERENCE_TABLES = [
  ...['projections', 'rebuilds', 'provider_groups', 'api_keys', 'keys'],
  ...['provider_group_versions', 'api_key_versions', 'key_versions'],
  ...['dimensions', 'dimension_versions', 'measures', 'measure_versions'],
  ...['acts', 'openings', 'unknown_taken', 'quota_resets'],
] as const

/** On the coordinator alone: no statement joins them with others, so they depend on no worker. */
export const LOCAL_TABLES = [
  ...['migrations', 'tokens', 'sessions', 'verifications'],
  // These have a row per shard that must be available while the shard's node is down.
  ...['instances', 'tree_heads'],
  // The tables of sources are folded over all shards.
  ...['source_folds', 'source_positions', 'sources', 'source_epochs'],
  // So are those of rules; webhooks are beside the log.
  ...['rule_folds', 'rule_events', 'crossings', 'webhooks', 'webhook_deliveries'],
] as const

/** Functions that run entirely on the node of the shard in their first argument. */
export const DELEGATED_FUNCTIONS = [
  ...[
    'append_batch',
    'append_event',
    'integrate_events',
    'move_checkpoint',
    'position_at',
    'find_keys',
    'head_of',
  ],
] as const
