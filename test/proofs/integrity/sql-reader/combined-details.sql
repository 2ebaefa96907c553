-- Checks dimensions and measures in the first versions of flushes that had some. Written from
-- docs/reference/log-format.md.

-- A list of values of dimensions; null for none.
create function pg_temp.check_values(p_values json, p_dimensions integer) returns void
language plpgsql as $$
declare
  v_value json;
begin
  if json_typeof(p_values) is distinct from 'array'
    or json_array_length(p_values) <> p_dimensions then
    raise data_exception;
  end if;
  for v_value in select v.value from json_array_elements(p_values) as v(value) loop
    if json_typeof(v_value) = 'string' then
      if length(v_value #>> '{}') not between 1 and 64 or v_value #>> '{}' = 'other' then
        raise data_exception;
      end if;
    elsif json_typeof(v_value) <> 'null' then
      raise data_exception;
    end if;
  end loop;
end $$;

-- What is counted instead of combinations: the same, or `other` for a value.
create function pg_temp.check_counted(p_counted json, p_combinations json) returns void
language plpgsql as $$
begin
  if json_typeof(p_counted) is distinct from 'array'
    or json_array_length(p_counted) <> json_array_length(p_combinations) then
    raise data_exception;
  end if;
  for i in 0 .. json_array_length(p_combinations) - 1 loop
    if json_typeof(p_counted -> i) <> 'array'
      or json_array_length(p_counted -> i) <> json_array_length(p_combinations -> i) then
      raise data_exception;
    end if;
    for j in 0 .. json_array_length(p_combinations -> i) - 1 loop
      if json_typeof(p_counted -> i -> j) not in ('string', 'null')
        or p_counted -> i ->> j is distinct from p_combinations -> i ->> j
          and (
            p_counted -> i ->> j is distinct from 'other' or p_combinations -> i ->> j is null
          ) then
        raise data_exception;
      end if;
    end loop;
  end loop;
end $$;

-- Checks the dimensions and the measures of a flush.
create function pg_temp.check_combined_details(p_payload json, p_entries bigint) returns void
language plpgsql as $$
declare
  v_dimensions json := p_payload -> 'dimensions';
  v_measures text[];
  v_measure json;
  v_numbers bigint[] := '{}';
begin
  perform pg_temp.check_names(array(
    select case when json_typeof(d.value) = 'string' then d.value #>> '{}' end
    from json_array_elements(v_dimensions) with ordinality as d(value, ordinal)
    order by d.ordinal
  ));
  if json_array_length(v_dimensions) > 8
    or json_typeof(p_payload -> 'combinations') is distinct from 'array' then
    raise data_exception;
  end if;
  perform pg_temp.check_values(c.value, json_array_length(v_dimensions))
  from json_array_elements(p_payload -> 'combinations') as c(value);
  if p_payload -> 'counted' is not null then
    perform pg_temp.check_counted(p_payload -> 'counted', p_payload -> 'combinations');
  end if;
  if json_array_length(p_payload -> 'combinations')
    <= any (pg_temp.unpack(p_payload -> 'combination', p_entries)) then
    raise data_exception;
  end if;
  if json_typeof(p_payload -> 'measures') is distinct from 'object' then
    raise data_exception;
  end if;
  -- Of members with one name the last counts, in the place of the first.
  v_measures := array(
    select m.name
    from json_object_keys(p_payload -> 'measures') with ordinality as m(name, ordinal)
    group by m.name
    order by min(m.ordinal)
  );
  perform pg_temp.check_names(v_measures);
  if cardinality(v_measures) > 32 then
    raise data_exception;
  end if;
  for i in 1 .. cardinality(v_measures) loop
    v_measure := p_payload -> 'measures' -> v_measures[i];
    if json_typeof(v_measure) <> 'array' or json_array_length(v_measure) <> 3 then
      raise data_exception;
    end if;
    v_numbers := v_numbers || pg_temp.to_counts(json_build_array(v_measure -> 0), 0);
    if v_numbers[i] > 255 or v_numbers[i] = any (v_numbers[:i - 1]) then
      raise data_exception;
    end if;
    perform pg_temp.unpack(json_build_array(v_measure -> 1, v_measure -> 2), p_entries);
  end loop;
end $$;
