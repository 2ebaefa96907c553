-- What the service itself may do. It connects as this role; only migrations run as the owner.
grant usage on schema tallybook to tallybook_service;

grant select, insert on events to tallybook_service;
grant select, update on shards to tallybook_service;
grant select on migrations to tallybook_service;
grant select, insert, update, delete on
  projections, checkpoints, parked_events,
  api_key_counters, provider_group_counters, key_counters,
  provider_groups, api_keys, keys
  to tallybook_service;
