-- What the service itself says in the log. The newest attestation of a shard is found at once,
-- however long the log is.
create index events_projection_attested on events (shard, position)
  where type = 'ProjectionAttested';

-- An attestation reads the usage of its time, out of all that there ever was. Rows come in the
-- order of time, so ranges of the table are enough; they cost an insert next to nothing.
create index api_key_usage_quarter on api_key_usage using brin (quarter);
create index provider_group_usage_quarter on provider_group_usage using brin (quarter);
create index key_usage_quarter on key_usage using brin (quarter);
