-- Returns the leaf hash of an event (RFC 6962): SHA-256 of a zero byte and the leaf, which is
-- compact JSON with every column except the payload, in whose place it has the payload's hash:
--
--     {"shard":0,"position":41,"type":"KeyStatsFlushed","version":1,
--      "recorded_at":"2026-01-31T12:00:00.123456+00:00","source":"dp","idempotency_key":null,
--      "payload_sha256":"a980…0ccd"}   (in one line)
--
-- Sets no search_path, as nothing here needs one: so it is inlined, and takes 5 µs instead of 100.
-- to_json escapes every text that PostgreSQL can store as JSON.stringify does.
create or replace function leaf_hash(
  p_shard integer,
  p_position bigint,
  p_type text,
  p_version smallint,
  p_recorded_at timestamptz,
  p_source text,
  p_idempotency_key text,
  p_payload_sha256 bytea
) returns bytea
language sql stable as $$
  select sha256('\x00'::bytea || convert_to(
    '{"shard":' || p_shard
      || ',"position":' || p_position
      || ',"type":' || to_json(p_type)
      || ',"version":' || p_version
      || ',"recorded_at":"'
      || to_char(p_recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
      || '","source":' || to_json(p_source)
      || ',"idempotency_key":' || coalesce(to_json(p_idempotency_key)::text, 'null')
      || ',"payload_sha256":"' || encode(p_payload_sha256, 'hex') || '"}',
    'UTF8'
  ))
$$;
