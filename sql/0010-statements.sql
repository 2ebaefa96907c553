-- What the service itself says in the log. The newest attestation of a shard is found at once,
-- however long the log is.
create index events_projection_attested on events (shard, position)
  where type = 'ProjectionAttested';
