-- Reads payloads value by value and reports which can't be read. It is about a hundred times slower
-- than the casts of load.ts, and only used for chunks that these refuse. It was written from
-- docs/reference/contract.md and shares no code with the payload readers of the service.
--
-- A function raises an error if no append could have written the payload. Numbers go through float8
-- because the service reads JSON numbers as such.

create function pg_temp.to_counts(p_column json, p_least bigint) returns bigint[]
language plpgsql as $$
declare
  v_counts bigint[];
begin
  if json_typeof(p_column) is distinct from 'array' then
    raise data_exception;
  end if;
  select coalesce(array_agg(
    case
      when json_typeof(c.value) = 'number'
        and (c.value #>> '{}')::float8 between p_least and 9007199254740991
        and trunc((c.value #>> '{}')::float8) = (c.value #>> '{}')::float8
      then (c.value #>> '{}')::float8::bigint
    end order by c.ordinal), '{}')
  into v_counts
  from json_array_elements(p_column) with ordinality as c(value, ordinal);
  if array_position(v_counts, null) is not null then
    raise data_exception;
  end if;
  return v_counts;
end $$;

create function pg_temp.to_groups(p_column json) returns bigint[]
language plpgsql as $$
declare
  v_groups bigint[] := '{}';
  v_group json;
begin
  if json_typeof(p_column) is distinct from 'array' then
    raise data_exception;
  end if;
  for v_group in select c.value from json_array_elements(p_column) as c(value) loop
    if json_typeof(v_group) = 'null' then
      v_groups := v_groups || null::bigint;
    else
      v_groups := v_groups || pg_temp.to_counts(json_build_array(v_group), 0);
    end if;
  end loop;
  return v_groups;
end $$;

create function pg_temp.read_api_key_flush(p_version integer, p_payload json)
returns table (
  group_id bigint, api_key_id bigint, requests bigint, successes bigint, api_key text
)
language plpgsql as $$
declare
  v_ids bigint[] := pg_temp.to_counts(p_payload -> 'ids', case when p_version = 3 then 0 else 1 end);
  v_requests bigint[] := pg_temp.to_counts(p_payload -> 'requests', 0);
  v_groups bigint[] := pg_temp.to_groups(p_payload -> 'groups');
  v_counts bigint[] := pg_temp.to_counts(p_payload -> 'counts', 0);
  v_successes bigint[];
  v_failing bigint[];
  v_failures bigint[];
  v_named bigint[];
  v_names text[] := '{}';
  v_length integer := cardinality(v_ids);
  v_at integer := 0;
begin
  if p_version = 1 then
    v_successes := pg_temp.to_counts(p_payload -> 'successes', 0);
  else
    v_successes := v_requests;
    v_failing := pg_temp.to_counts(p_payload -> 'failing', 0);
    v_failures := pg_temp.to_counts(p_payload -> 'failures', 0);
    if cardinality(v_failing) <> cardinality(v_failures) then
      raise data_exception;
    end if;
    for j in 1 .. cardinality(v_failing) loop
      if v_failing[j] >= v_length
        or v_successes[v_failing[j] + 1] is null
        or v_successes[v_failing[j] + 1] < v_failures[j] then
        raise data_exception;
      end if;
      v_successes[v_failing[j] + 1] := v_successes[v_failing[j] + 1] - v_failures[j];
    end loop;
  end if;
  if p_version = 3 then
    v_named := pg_temp.to_counts(p_payload -> 'named', 0);
    if json_array_length(p_payload -> 'names') is distinct from cardinality(v_named) then
      raise data_exception;
    end if;
    for j in 1 .. cardinality(v_named) loop
      if v_named[j] >= v_length or v_names[v_named[j] + 1] is not null then
        raise data_exception;
      end if;
      v_names[v_named[j] + 1] := pg_temp.to_text(p_payload -> 'names' -> j - 1, '.');
    end loop;
  end if;
  if cardinality(v_requests) <> v_length or cardinality(v_successes) <> v_length
    or cardinality(v_groups) <> cardinality(v_counts)
    or (select coalesce(sum(c), 0) from unnest(v_counts) c) <> v_length then
    raise data_exception;
  end if;
  for j in 1 .. cardinality(v_groups) loop
    for i in 1 .. v_counts[j] loop
      v_at := v_at + 1;
      group_id := v_groups[j];
      api_key_id := v_ids[v_at];
      requests := v_requests[v_at];
      successes := v_successes[v_at];
      api_key := v_names[v_at];
      if api_key is null and api_key_id = 0 or api_key is not null and group_id is not null then
        raise data_exception;
      end if;
      return next;
    end loop;
  end loop;
end $$;

create function pg_temp.read_key_flush(p_payload json)
returns table (
  token_hash text, requests bigint, tokens bigint, last_accessed_at bigint, is_tracked boolean
)
language plpgsql as $$
declare
  v_requests bigint[] := pg_temp.to_counts(p_payload -> 'requests', 0);
  v_tokens bigint[] := pg_temp.to_counts(p_payload -> 'tokens', 0);
  v_accesses bigint[] := pg_temp.to_counts(p_payload -> 'last_accessed_at', 0);
  v_length integer := json_array_length(p_payload -> 'hashes');
  v_entry record;
begin
  if v_length is null
    or v_length is distinct from json_array_length(p_payload -> 'quota_tracked')
    or v_length <> cardinality(v_requests)
    or v_length <> cardinality(v_tokens)
    or v_length <> cardinality(v_accesses) then
    raise data_exception;
  end if;
  for v_entry in
    select h.value as hash, t.value as tracked, h.ordinal
    from json_array_elements(p_payload -> 'hashes') with ordinality as h(value, ordinal)
      join json_array_elements(p_payload -> 'quota_tracked') with ordinality as t(value, ordinal)
        using (ordinal)
  loop
    token_hash := v_entry.hash #>> '{}';
    requests := v_requests[v_entry.ordinal];
    tokens := v_tokens[v_entry.ordinal];
    last_accessed_at := v_accesses[v_entry.ordinal];
    is_tracked := v_entry.tracked #>> '{}';
    if json_typeof(v_entry.hash) <> 'string' or token_hash = ''
      or json_typeof(v_entry.tracked) not in ('boolean', 'null')
      or last_accessed_at > 253402300799 then
      raise data_exception;
    end if;
    return next;
  end loop;
end $$;

create function pg_temp.to_name(p_name json, p_least integer, p_most integer default 255)
returns text
language plpgsql as $$
declare
  v_name text := p_name #>> '{}';
begin
  if json_typeof(p_name) is distinct from 'string'
    -- The service counts UTF-16 units: two for a character above U+FFFF.
    or length(v_name) + (
      select count(*) from unnest(string_to_array(v_name, null)) c where ascii(c) > 65535
    ) not between p_least and p_most then
    raise data_exception;
  end if;
  return v_name;
end $$;

-- The service allows no white space of Unicode around an external id.
create function pg_temp.to_external_id(p_id json) returns text
language plpgsql as $$
declare
  v_id text := pg_temp.to_name(p_id, 1);
begin
  if v_id ~ (
    '^[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]'
    || '|[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]$'
  ) then
    raise data_exception;
  end if;
  return v_id;
end $$;

create function pg_temp.read_catalog_change(p_version integer, p_payload json)
returns table (
  is_ended boolean, kind text, ordinal bigint,
  id bigint, token_hash text, group_id bigint, quota_limit bigint, name text, external_id text
)
language plpgsql as $$
declare
  v_list text;
  v_rows json;
  v_row json;
begin
  foreach v_list in array array['upserted', 'ended'] loop
    if json_typeof(p_payload -> v_list) is distinct from 'object' then
      raise data_exception;
    end if;
    foreach kind in array array['provider_groups', 'api_keys', 'keys'] loop
      v_rows := p_payload -> v_list -> kind;
      continue when v_rows is null;
      is_ended := v_list = 'ended';
      for v_row, ordinal in
        select r.value, r.ordinal
        from json_array_elements(v_rows) with ordinality as r(value, ordinal)
      loop
        if json_typeof(v_row) <> 'object' or v_row -> 'name' is null then
          raise data_exception;
        end if;
        id := null;
        token_hash := null;
        group_id := null;
        quota_limit := null;
        name := null;
        external_id := null;
        if json_typeof(v_row -> 'name') <> 'null' then
          name := pg_temp.to_name(v_row -> 'name', 0);
        end if;
        if kind = 'keys' then
          token_hash := pg_temp.to_name(v_row -> 'token_hash', 1);
          quota_limit := (pg_temp.to_counts(json_build_array(v_row -> 'quota_limit'), -1))[1];
        else
          id := (pg_temp.to_counts(json_build_array(v_row -> 'id'), 1))[1];
          if v_row -> 'external_id' is not null then
            if p_version = 1 then
              raise data_exception;
            end if;
            external_id := pg_temp.to_external_id(v_row -> 'external_id');
          end if;
        end if;
        if kind = 'api_keys' then
          group_id := (pg_temp.to_counts(json_build_array(v_row -> 'group_id'), 0))[1];
        end if;
        return next;
      end loop;
    end loop;
  end loop;
end $$;

create function pg_temp.to_text(p_value json, p_pattern text) returns text
language plpgsql as $$
begin
  if json_typeof(p_value) is distinct from 'string' or (p_value #>> '{}') !~ p_pattern then
    raise data_exception;
  end if;
  return p_value #>> '{}';
end $$;

create function pg_temp.check_attestation(p_payload json) returns void
language plpgsql as $$
declare
  v_totals json := p_payload -> 'totals';
  v_table json;
begin
  if json_typeof(p_payload -> 'tables') is distinct from 'array' then
    raise data_exception;
  end if;
  for v_table in select t.value from json_array_elements(p_payload -> 'tables') t loop
    perform pg_temp.to_text(v_table -> 'table', '^[a-z_]{1,63}$');
    perform pg_temp.to_text(v_table -> 'sha256', '^[0-9a-f]{64}$');
    perform pg_temp.to_counts(json_build_array(v_table -> 'position'), -1);
    if v_table -> 'from' is not null then
      perform pg_temp.to_text(
        v_table -> 'from',
        '^\d{4}-\d{2}-\d{2}T\d{2}:(00|15|30|45):00\.000000\+00:00$'
      );
    end if;
    if v_table -> 'after' is not null then
      perform pg_temp.to_counts(json_build_array(v_table -> 'after'), -1);
    end if;
    perform pg_temp.to_counts(json_build_array(v_table -> 'rows'), 0);
  end loop;
  perform pg_temp.to_counts(json_build_array(v_totals -> 'position'), -1);
  perform pg_temp.to_text(v_totals -> 'requests', '^(0|-?[1-9][0-9]{0,99})$');
  perform pg_temp.to_text(v_totals -> 'successes', '^(0|-?[1-9][0-9]{0,99})$');
end $$;

create function pg_temp.check_shards_change(p_payload json) returns void
language plpgsql as $$
declare
  v_archive json := p_payload -> 'archive';
  v_previous json;
  v_reversal json;
begin
  perform pg_temp.to_text(v_archive -> 'manifest_sha256', '^[0-9a-f]{64}$');
  perform pg_temp.to_counts(json_build_array(p_payload -> 'shards', v_archive -> 'shards'), 1);
  perform pg_temp.to_counts(
    json_build_array(v_archive -> 'events', v_archive -> 'left_out'), 0
  );
  if json_typeof(p_payload -> 'previous') is distinct from 'array' then
    raise data_exception;
  end if;
  for v_previous in select p.value from json_array_elements(p_payload -> 'previous') p loop
    perform pg_temp.to_text(v_previous, '.');
  end loop;
  if p_payload -> 'reversals' is null then
    return;
  end if;
  if json_typeof(p_payload -> 'reversals') is distinct from 'array' then
    raise data_exception;
  end if;
  for v_reversal in select r.value from json_array_elements(p_payload -> 'reversals') r loop
    if json_typeof(v_reversal) is distinct from 'array' or json_array_length(v_reversal) <> 2 then
      raise data_exception;
    end if;
    perform pg_temp.to_counts(json_build_array(v_reversal -> 0), -1);
    perform pg_temp.to_text(v_reversal -> 1, '^(0|[1-9][0-9]{0,3})/(0|[1-9][0-9]{0,15})$');
  end loop;
end $$;

create function pg_temp.is_readable(p_type text, p_version integer, p_payload json)
returns boolean
language plpgsql as $$
begin
  if p_type = 'ApiKeyStatsFlushed' and p_version in (1, 2, 3, 4, 5, 6) then
    perform from pg_temp.read_api_key_entries(p_version, p_payload);
  elsif p_type = 'KeyStatsFlushed' and p_version in (1, 2, 3, 4) then
    perform from pg_temp.read_key_entries(p_version, p_payload);
  elsif p_type = 'CatalogChanged' and p_version in (1, 2, 3, 4) then
    perform from pg_temp.read_catalog_change(p_version, p_payload);
    perform pg_temp.check_declared(p_version, p_payload);
    perform pg_temp.check_rules(p_version, p_payload);
  elsif p_type = 'ProjectionAttested' and p_version in (1, 2, 3, 4) then
    perform pg_temp.check_attestation(p_payload);
  elsif p_type = 'OriginChanged' and p_version = 1 then
    perform pg_temp.to_name(p_payload -> 'origin', 1);
    perform pg_temp.to_text(p_payload -> 'previous', '.');
  elsif p_type = 'ShardsChanged' and p_version in (1, 2) then
    perform pg_temp.check_shards_change(p_payload);
  elsif p_type in ('RuleCrossed', 'RuleCleared') and p_version = 1 then
    perform pg_temp.check_rule_event(p_type, p_payload);
  elsif p_type in ('TokenCreated', 'TokenRevoked') and p_version = 1 then
    perform pg_temp.to_text(p_payload -> 'name', '^[a-z0-9][a-z0-9._-]{0,62}$');
    perform pg_temp.to_text(p_payload -> 'role', '^(dp|admin|auditor)$');
  elsif p_type = 'EventReversed' and p_version in (1, 2, 3)
    or p_type = 'UnknownKeysAdopted' and p_version in (1, 2)
    or p_type in ('BalancesOpened', 'TotalsAdjusted', 'QuotaReset') and p_version = 1 then
    perform pg_temp.check_act(p_type, p_version, p_payload);
  else
    return false;
  end if;
  return true;
exception when others then
  return false;
end $$;
