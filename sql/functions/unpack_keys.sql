-- Returns the entries of a row of packed_keys: hashes and positions.
create or replace function unpack_keys(p_entries bytea)
returns table (hash bytea, "position" bigint)
language sql immutable parallel safe as $$
  select
    substring(p_entries from i for 8),
    ('x0000' || encode(substring(p_entries from i + 8 for 6), 'hex'))::bit(64)::bigint
  from generate_series(1, octet_length(p_entries), 14) i
$$;
