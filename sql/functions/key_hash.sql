-- Returns the hash by which an idempotency key is packed: 8 bytes.
create or replace function key_hash(p_source text, p_idempotency_key text) returns bytea
language sql immutable parallel safe as $$
  select substring(sha256(convert_to(p_source || e'\n' || p_idempotency_key, 'UTF8')) for 8)
$$;
