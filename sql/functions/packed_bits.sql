-- Returns the bits of a packed column of a payload, or null if it is not one: all values, one after
-- the other.
--
--     packed_bits('[3,"dhA="]') = B'0111011000010000': the values 3, 5, 4, 1, 0, and a bit to spare
--
-- Sets no search_path, as nothing here needs one: so it is inlined.
create or replace function packed_bits(p_column json) returns varbit
language sql immutable as $$
  select case
    when json_typeof(p_column -> 1) = 'string'
      and (p_column ->> 1) ~ '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
    then ('x' || encode(decode(p_column ->> 1, 'base64'), 'hex'))::varbit
  end
$$;
