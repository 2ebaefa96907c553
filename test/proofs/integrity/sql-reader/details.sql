-- Checks the dimensions and the measures of flushes. Written from
-- docs/reference/log-format.md.

-- A dimension: the packed numbers of values, the values in order of appearance (null for none), and
-- perhaps the numbers of those that are counted as `other`.
create function pg_temp.check_dimension(p_dimension json, p_entries bigint) returns void
language plpgsql as $$
declare
  v_values json := p_dimension -> 2;
  v_others bigint[] := '{}';
  v_seen bigint := 0;
  v_number bigint;
  v_keys text[] := '{}';
begin
  if json_typeof(p_dimension) <> 'array' or json_array_length(p_dimension) not in (3, 4)
    or json_typeof(v_values) <> 'array' then
    raise data_exception;
  end if;
  if json_array_length(p_dimension) = 4 then
    v_others := pg_temp.to_counts(p_dimension -> 3, 0);
    if cardinality(v_others) = 0 then
      raise data_exception;
    end if;
  end if;
  for j in 1 .. cardinality(v_others) loop
    if v_others[j] <= v_others[j - 1] or v_others[j] >= json_array_length(v_values)
      or json_typeof(v_values -> v_others[j]::integer) = 'null' then
      raise data_exception;
    end if;
  end loop;
  for i in 0 .. json_array_length(v_values) - 1 loop
    if json_typeof(v_values -> i) = 'string' then
      if length(v_values ->> i) not between 1 and 64 or v_values ->> i = 'other' then
        raise data_exception;
      end if;
    elsif json_typeof(v_values -> i) <> 'null' then
      raise data_exception;
    end if;
    -- Once, or once counted and once not.
    v_keys := v_keys || concat(i = any (v_others), ' ', to_json(v_values ->> i));
  end loop;
  if (select count(distinct k) from unnest(v_keys) k) <> cardinality(v_keys) then
    raise data_exception;
  end if;
  foreach v_number in array
    pg_temp.unpack(json_build_array(p_dimension -> 0, p_dimension -> 1), p_entries)
  loop
    if v_number > v_seen then
      raise data_exception;
    end if;
    v_seen := greatest(v_seen, v_number + 1);
  end loop;
  if v_seen <> json_array_length(v_values) then
    raise data_exception;
  end if;
end $$;

-- A measure: its number and a value for each entry; or its number, the values that are not 0, their
-- count and their entries. Only the shorter form is valid.
create function pg_temp.check_measure(p_measure json, p_entries bigint) returns void
language plpgsql as $$
declare
  v_values bigint[];
  v_entries bigint[];
  v_count bigint;
  v_width bigint := length(ltrim(p_entries::bit(64)::text, '0'));
begin
  if json_typeof(p_measure) <> 'array' or json_array_length(p_measure) not in (3, 6) then
    raise data_exception;
  end if;
  perform pg_temp.to_counts(json_build_array(p_measure -> 0), 0);
  if json_array_length(p_measure) = 3 then
    v_values := pg_temp.unpack(json_build_array(p_measure -> 1, p_measure -> 2), p_entries);
    v_count := (select count(*) from unnest(v_values) v where v <> 0);
  else
    v_count := (pg_temp.to_counts(json_build_array(p_measure -> 3), 0))[1];
    if v_count > p_entries then
      raise data_exception;
    end if;
    v_values := pg_temp.unpack(json_build_array(p_measure -> 1, p_measure -> 2), v_count);
    v_entries := pg_temp.unpack(json_build_array(p_measure -> 4, p_measure -> 5), v_count);
    for j in 1 .. v_count loop
      if v_entries[j] >= p_entries or v_entries[j] <= v_entries[j - 1] or v_values[j] = 0 then
        raise data_exception;
      end if;
    end loop;
  end if;
  if (json_array_length(p_measure) = 6)
    <> (v_count * ((p_measure ->> 1)::float8 + v_width) < p_entries * (p_measure ->> 1)::float8) then
    raise data_exception;
  end if;
end $$;

create function pg_temp.check_names(p_names text[]) returns void
language plpgsql as $$
begin
  for i in 1 .. cardinality(p_names) loop
    if p_names[i] is null or p_names[i] !~ '^[a-z][a-z0-9_]{0,63}$'
      or p_names[i] <= p_names[i - 1] collate "C" then
      raise data_exception;
    end if;
  end loop;
end $$;

-- The names of an object's members. Of those with one name the last counts, in the place of the
-- first.
create function pg_temp.names_in(p_object json) returns text[]
language plpgsql as $$
declare
  v_names text[];
begin
  if json_typeof(p_object) is distinct from 'object' then
    raise data_exception;
  end if;
  v_names := array(
    select m.name
    from json_object_keys(p_object) with ordinality as m(name, ordinal)
    group by m.name
    order by min(m.ordinal)
  );
  perform pg_temp.check_names(v_names);
  return v_names;
end $$;

-- Checks the dimensions and the measures of a flush.
create function pg_temp.check_details(p_payload json, p_entries bigint) returns void
language plpgsql as $$
declare
  v_dimensions text[] := pg_temp.names_in(p_payload -> 'dimensions');
  v_measures text[] := pg_temp.names_in(p_payload -> 'measures');
  v_numbers bigint[] := '{}';
begin
  if cardinality(v_dimensions) > 8 or cardinality(v_measures) > 32 then
    raise data_exception;
  end if;
  perform pg_temp.check_dimension(p_payload -> 'dimensions' -> d.name, p_entries)
  from unnest(v_dimensions) as d(name);
  for i in 1 .. cardinality(v_measures) loop
    perform pg_temp.check_measure(p_payload -> 'measures' -> v_measures[i], p_entries);
    v_numbers := v_numbers || (p_payload -> 'measures' -> v_measures[i] ->> 0)::bigint;
    if v_numbers[i] > 255 or v_numbers[i] = any (v_numbers[:i - 1]) then
      raise data_exception;
    end if;
  end loop;
end $$;
