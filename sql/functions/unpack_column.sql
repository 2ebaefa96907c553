-- Returns the first p_entries values of a packed column of a payload; nulls if it is not one.
--
--     unpack_column('[3,"dhA="]', 4) = {3,5,4,1}
create or replace function unpack_column(p_column json, p_entries bigint) returns bigint[]
language sql immutable
set search_path from current as $$
  select coalesce(
    array_agg((v.bits::bit(64) >> 64 - c.width)::bigint order by i),
    '{}'
  )
  from (select packed_bits(p_column) as bits, packed_width(p_column) as width) c
    -- No flush has more entries than the largest body.
    cross join generate_series(0, least(coalesce(p_entries, 0), 16777216)::integer - 1) i
    cross join lateral (select substring(c.bits from i * c.width + 1 for c.width) as bits) v
$$;
