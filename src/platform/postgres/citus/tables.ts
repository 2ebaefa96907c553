// Where the tables of the schema are on Citus. Each of them is in one of these lists.

/**
 * Spread by `shard`, each shard's rows of all of them on one node. The others are placed beside
 * `events`, which so comes first.
 */
export const DISTRIBUTED_TABLES = [
  ...['events', 'shards', 'tiles', 'checkpoints', 'parked_events'],
  ...['api_key_counters', 'provider_group_counters', 'key_counters'],
  ...['api_key_usage', 'provider_group_usage', 'key_usage'],
  ...['api_key_snapshots', 'provider_group_snapshots', 'key_snapshots'],
] as const

/** On every node, as statements join them with those that are spread. */
export const REFERENCE_TABLES = [
  ...['projections', 'rebuilds', 'provider_groups', 'api_keys', 'keys'],
  ...['provider_group_versions', 'api_key_versions', 'key_versions'],
] as const

/** On the coordinator alone: nothing joins them, and so they need no other node. */
export const LOCAL_TABLES = [
  ...['migrations', 'tokens', 'sessions', 'verifications'],
  // With a row a shard that has to be there while the node of the shard is away.
  ...['instances', 'tree_heads'],
] as const

/** Functions that run whole where the shard of their first argument is. */
export const DELEGATED_FUNCTIONS = [
  ...['append_batch', 'append_event', 'integrate_events', 'move_checkpoint', 'position_at'],
] as const
