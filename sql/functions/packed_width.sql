-- Returns the width in bits of the values in a packed column of a payload; null if it is not one.
--
-- Sets no search_path, as nothing here needs one: so it is inlined.
create or replace function packed_width(p_column json) returns integer
language sql immutable as $$
  select case
    when json_typeof(p_column -> 0) = 'number' and (p_column ->> 0)::numeric between 0 and 53
      then (p_column ->> 0)::numeric::integer
  end
$$;
