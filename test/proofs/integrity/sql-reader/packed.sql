-- Reads flushes with packed columns: API keys since version 4, token keys since version 2. Raises an
-- error if no append could have written the payload. Written from docs/reference/log-format.md.

create function pg_temp.unpack(p_column json, p_entries bigint) returns bigint[]
language plpgsql as $$
declare
  v_bits integer;
  v_bytes bytea;
  v_values bigint[] := '{}';
  v_value bigint;
  v_largest bigint := 0;
  v_at integer := 0;
begin
  -- Whatever it is, it has more entries than the largest body.
  if p_entries > 16777216
    or json_typeof(p_column) is distinct from 'array' or json_array_length(p_column) <> 2
    or json_typeof(p_column -> 1) <> 'string' then
    raise data_exception;
  end if;
  v_bits := (pg_temp.to_counts(json_build_array(p_column -> 0), 0))[1];
  v_bytes := decode(p_column ->> 1, 'base64');
  if v_bits > 53
    or replace(encode(v_bytes, 'base64'), e'\n', '') <> p_column ->> 1
    or length(v_bytes) <> ceil(p_entries * v_bits / 8.0) then
    raise data_exception;
  end if;
  for i in 1 .. p_entries loop
    v_value := 0;
    for j in 1 .. v_bits loop
      v_value := 2 * v_value + (get_byte(v_bytes, v_at / 8) >> (7 - v_at % 8) & 1);
      v_at := v_at + 1;
    end loop;
    v_values := v_values || v_value;
    v_largest := greatest(v_largest, v_value);
  end loop;
  while v_at < 8 * length(v_bytes) loop
    if get_byte(v_bytes, v_at / 8) >> (7 - v_at % 8) & 1 = 1 then
      raise data_exception;
    end if;
    v_at := v_at + 1;
  end loop;
  -- The width is that of the largest value.
  if v_bits > 0 and v_largest < 1::bigint << (v_bits - 1) then
    raise data_exception;
  end if;
  return v_values;
end $$;

-- Raises an error unless a text is `<epoch>/<first>-<last>;last`, of which a part may be absent.
create function pg_temp.check_sequence(p_sequence json) returns void
language plpgsql as $$
declare
  v_parts text[] := regexp_match(
    pg_temp.to_text(p_sequence, '.'),
    '^[A-Za-z0-9._-]{1,64}/(0|[1-9][0-9]{0,15})(-(0|[1-9][0-9]{0,15}))?(;last)?$'
  );
begin
  if v_parts is null
    or v_parts[3]::bigint < v_parts[1]::bigint
    or coalesce(v_parts[3], v_parts[1])::bigint > 9007199254740990 then
    raise data_exception;
  end if;
end $$;

-- Checks the time, the dimensions and the measures of a flush. Combined details may be absent if it
-- has a time, others if it has a sequence.
create function pg_temp.check_extras(
  p_payload json, p_entries bigint, p_combined boolean, p_numbered boolean
)
returns void
language plpgsql as $$
begin
  if p_numbered then
    perform pg_temp.check_sequence(p_payload -> 'sequence');
  end if;
  if p_payload -> 'counted_at' is not null
    and (pg_temp.to_counts(json_build_array(p_payload -> 'counted_at'), 0))[1] > 253402300799 then
    raise data_exception;
  end if;
  if p_numbered and p_payload -> 'dimensions' is null then
    return;
  elsif not p_combined then
    perform pg_temp.check_details(p_payload, p_entries);
  elsif p_payload -> 'dimensions' is not null then
    perform pg_temp.check_combined_details(p_payload, p_entries);
  elsif p_payload -> 'counted_at' is null then
    raise data_exception;
  end if;
end $$;

create function pg_temp.read_packed_api_key_flush(p_version integer, p_payload json)
returns table (
  group_id bigint, api_key_id bigint, requests bigint, successes bigint, api_key text
)
language plpgsql as $$
declare
  v_groups bigint[] := pg_temp.to_groups(p_payload -> 'groups');
  v_counts bigint[] := pg_temp.to_counts(p_payload -> 'counts', 0);
  v_entries bigint := (select coalesce(sum(c), 0) from unnest(v_counts) c);
  v_ids bigint[] := pg_temp.unpack(p_payload -> 'ids', v_entries);
  v_requests bigint[] := pg_temp.unpack(p_payload -> 'requests', v_entries);
  v_failures bigint[] := pg_temp.unpack(p_payload -> 'failures', v_entries);
  v_named bigint[] := '{}';
  v_names text[] := '{}';
  v_at integer := 0;
begin
  if p_payload -> 'named' is not null then
    v_named := pg_temp.to_counts(p_payload -> 'named', 0);
    if json_array_length(p_payload -> 'names') is distinct from cardinality(v_named) then
      raise data_exception;
    end if;
  end if;
  for j in 1 .. cardinality(v_named) loop
    if v_named[j] >= v_entries or v_names[v_named[j] + 1] is not null then
      raise data_exception;
    end if;
    v_names[v_named[j] + 1] := pg_temp.to_text(p_payload -> 'names' -> j - 1, '.');
  end loop;
  if cardinality(v_groups) <> cardinality(v_counts) then
    raise data_exception;
  end if;
  perform pg_temp.check_extras(p_payload, v_entries, p_version = 4, p_version = 6);
  for j in 1 .. cardinality(v_groups) loop
    for i in 1 .. v_counts[j] loop
      v_at := v_at + 1;
      group_id := v_groups[j];
      api_key_id := v_ids[v_at];
      requests := v_requests[v_at];
      successes := v_requests[v_at] - v_failures[v_at];
      api_key := v_names[v_at];
      if successes < 0
        or api_key is null and api_key_id = 0
        or api_key is not null and group_id is not null then
        raise data_exception;
      end if;
      return next;
    end loop;
  end loop;
end $$;

create function pg_temp.read_packed_key_flush(p_version integer, p_payload json)
returns table (
  token_hash text, requests bigint, tokens bigint, last_accessed_at bigint, is_tracked boolean
)
language plpgsql as $$
declare
  v_entries integer := json_array_length(p_payload -> 'hashes');
  v_requests bigint[] := pg_temp.unpack(p_payload -> 'requests', v_entries);
  v_tokens bigint[] := pg_temp.unpack(p_payload -> 'tokens', v_entries);
  v_accesses bigint[] := pg_temp.unpack(p_payload -> 'last_accessed_at', v_entries);
  v_tracked bigint[] := pg_temp.unpack(p_payload -> 'quota_tracked', v_entries);
begin
  if v_entries is null then
    raise data_exception;
  end if;
  perform pg_temp.check_extras(p_payload, v_entries, p_version = 2, p_version = 4);
  for i in 1 .. v_entries loop
    token_hash := p_payload -> 'hashes' ->> i - 1;
    requests := v_requests[i];
    tokens := v_tokens[i];
    last_accessed_at := v_accesses[i];
    is_tracked := case v_tracked[i] when 1 then false when 2 then true end;
    if json_typeof(p_payload -> 'hashes' -> i - 1) <> 'string' or token_hash = ''
      or v_tracked[i] > 2 or last_accessed_at > 253402300799 then
      raise data_exception;
    end if;
    return next;
  end loop;
end $$;

-- The entries of a flush of API keys in any version.
create function pg_temp.read_api_key_entries(p_version integer, p_payload json)
returns table (
  group_id bigint, api_key_id bigint, requests bigint, successes bigint, api_key text
)
language plpgsql as $$
begin
  if p_version >= 4 then
    return query select * from pg_temp.read_packed_api_key_flush(p_version, p_payload);
  else
    return query select * from pg_temp.read_api_key_flush(p_version, p_payload);
  end if;
end $$;

-- The same for token keys.
create function pg_temp.read_key_entries(p_version integer, p_payload json)
returns table (
  token_hash text, requests bigint, tokens bigint, last_accessed_at bigint, is_tracked boolean
)
language plpgsql as $$
begin
  if p_version >= 2 then
    return query select * from pg_temp.read_packed_key_flush(p_version, p_payload);
  else
    return query select * from pg_temp.read_key_flush(p_payload);
  end if;
end $$;

-- The quarter hour in which a flush counts: that of its own time, if it can state one and does.
create function pg_temp.quarter_of(
  p_type text, p_version integer, p_payload json, p_recorded_at timestamptz
) returns timestamptz
language plpgsql as $$
declare
  v_at timestamptz := p_recorded_at;
begin
  if (p_type = 'ApiKeyStatsFlushed' and p_version >= 4
      or p_type = 'KeyStatsFlushed' and p_version >= 2)
    and p_payload -> 'counted_at' is not null then
    v_at := to_timestamp((p_payload ->> 'counted_at')::float8);
  end if;
  return date_bin('15 minutes', v_at, '2000-01-01 00:00:00+00');
end $$;
