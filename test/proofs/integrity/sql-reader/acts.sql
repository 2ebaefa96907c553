-- Reads acts: what they add to accounts, and what they take of entries for unknown keys. Written
-- from docs/reference/log-format.md. A function raises an error if no append could have written the
-- payload.

-- Whole numbers, possibly negative.
create function pg_temp.to_differences(p_column json) returns bigint[]
language sql as $$
  select pg_temp.to_counts(p_column, -9007199254740991)
$$;

create function pg_temp.to_texts(p_column json, p_pattern text) returns text[]
language plpgsql as $$
begin
  if json_typeof(p_column) is distinct from 'array' then
    raise data_exception;
  end if;
  return (
    select coalesce(array_agg(pg_temp.to_text(c.value, p_pattern) order by c.ordinal), '{}')
    from json_array_elements(p_column) with ordinality as c(value, ordinal)
  );
end $$;

-- A time in the calendar, as the log writes it.
create function pg_temp.to_time(p_time text) returns timestamptz
language plpgsql as $$
begin
  if p_time !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\+00:00$'
    or to_char(p_time::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') <> p_time
  then
    raise data_exception;
  end if;
  return p_time::timestamptz;
end $$;

create function pg_temp.require_lengths(variadic p_lengths integer[]) returns void
language plpgsql as $$
begin
  if p_lengths[1] <> any (p_lengths) then
    raise data_exception;
  end if;
end $$;

-- The amounts of an act, with its own signs; last accesses are 0 unless `p_has_access`.
create function pg_temp.read_amounts(p_payload json, p_least bigint, p_has_access boolean)
returns table (
  kind text, account text, requests bigint, seconds bigint, quota_used bigint,
  last_accessed_at bigint
)
language plpgsql as $$
declare
  v_rows json;
  v_accounts text[];
  v_requests bigint[];
  v_seconds bigint[];
  v_quota_used bigint[];
  v_accesses bigint[];
begin
  foreach kind in array array['provider_group', 'api_key', 'key'] loop
    v_rows := p_payload -> (kind || 's');
    continue when v_rows is null;
    if json_typeof(v_rows) <> 'object' then
      raise data_exception;
    end if;
    v_requests := pg_temp.to_counts(v_rows -> 'requests', p_least);
    if kind = 'key' then
      v_accounts := pg_temp.to_texts(v_rows -> 'hashes', '.');
      v_seconds := pg_temp.to_counts(v_rows -> 'tokens', p_least);
      v_quota_used := pg_temp.to_counts(v_rows -> 'quota_used', p_least);
    else
      v_accounts := pg_temp.to_counts(v_rows -> 'ids', 1)::text[];
      v_seconds := pg_temp.to_counts(v_rows -> 'successes', p_least);
      v_quota_used := array_fill(0, array[cardinality(v_accounts)]);
    end if;
    v_accesses := array_fill(0, array[cardinality(v_accounts)]);
    if kind = 'key' and p_has_access and v_rows -> 'last_accessed_at' is not null then
      v_accesses := pg_temp.to_counts(v_rows -> 'last_accessed_at', 0);
      if 253402300799 < any (v_accesses) then
        raise data_exception;
      end if;
    end if;
    perform pg_temp.require_lengths(
      cardinality(v_accounts), cardinality(v_requests), cardinality(v_seconds),
      cardinality(v_quota_used), cardinality(v_accesses)
    );
    return query
      select kind, r.*
      from unnest(v_accounts, v_requests, v_seconds, v_quota_used, v_accesses) as r;
  end loop;
end $$;

create function pg_temp.check_opening(p_payload json) returns void
language plpgsql as $$
declare
  v_origin json := p_payload -> 'origin';
begin
  perform pg_temp.to_time(pg_temp.to_text(p_payload -> 'as_of', ''));
  perform pg_temp.to_name(v_origin -> 'system', 1);
  if json_typeof(v_origin -> 'note') is distinct from 'null' then
    perform pg_temp.to_text(v_origin -> 'note', '');
  end if;
  if exists (
    select
    from pg_temp.read_amounts(p_payload, 0, true) r
    where r.kind <> 'key' and r.seconds > r.requests
  ) or exists (
    select
    from pg_temp.read_amounts(p_payload, 0, true) r
    group by r.kind, r.account
    having count(*) > 1
  ) then
    raise data_exception;
  end if;
end $$;

create function pg_temp.check_reversal(p_payload json) returns void
language plpgsql as $$
begin
  perform pg_temp.to_text(
    p_payload -> 'reversed', '^(0|[1-9][0-9]{0,3})/(0|[1-9][0-9]{0,15})$'
  );
  perform pg_temp.to_text(
    p_payload -> 'type', '^(ApiKeyStatsFlushed|KeyStatsFlushed|BalancesOpened|TotalsAdjusted)$'
  );
  perform pg_temp.to_time(pg_temp.to_text(p_payload -> 'at', ''));
end $$;

-- Combinations of dimension values as the service writes them: JSON with sorted names.
create function pg_temp.check_combination(p_text text) returns void
language plpgsql as $$
declare
  v_names text[];
begin
  v_names := array(
    select d.key from json_each(p_text::json) with ordinality as d(key, value, n) order by d.n
  );
  perform pg_temp.check_names(v_names);
  if cardinality(v_names) > 8 or p_text <> (
    select '{' || coalesce(string_agg(to_json(d.key) || ':' || to_json(d.value #>> '{}'), ','
      order by d.n), '') || '}'
    from json_each(p_text::json) with ordinality as d(key, value, n)
    where json_typeof(d.value) = 'string' and length(d.value #>> '{}') between 1 and 64
  ) then
    raise data_exception;
  end if;
end $$;

-- The combinations and measures of rows, if there are rows.
create function pg_temp.check_detail_rows(p_rows json, p_combinations integer, p_least bigint)
returns void
language plpgsql as $$
declare
  v_length integer := json_array_length(p_rows -> 'requests');
begin
  if p_rows is null then
    return;
  end if;
  if json_typeof(p_rows -> 'combination') is distinct from 'array'
    or json_array_length(p_rows -> 'combination') <> v_length
    or p_combinations <= any (pg_temp.to_groups(p_rows -> 'combination'))
    or json_typeof(p_rows -> 'measures') is distinct from 'object'
    or exists (
      select
      from json_each(p_rows -> 'measures') m
      where m.key !~ '^(0|[1-9][0-9]{0,2})$' or m.key::integer > 255
        or cardinality(pg_temp.to_counts(m.value, p_least)) <> v_length
    ) then
    raise data_exception;
  end if;
end $$;

-- The combinations and measures of a reversal since version 3, and of an adoption since version 2.
create function pg_temp.check_details(p_type text, p_payload json) returns void
language plpgsql as $$
declare
  v_texts text[] := pg_temp.to_texts(p_payload -> 'combinations', '');
  v_least bigint := case when p_type = 'EventReversed' then -9007199254740991 else 0 end;
  v_name text;
begin
  perform pg_temp.check_combination(c.value) from unnest(v_texts) as c(value);
  foreach v_name in array array['provider_groups', 'api_keys', 'keys'] loop
    continue when v_name = 'provider_groups' and p_type <> 'EventReversed';
    perform pg_temp.check_detail_rows(p_payload -> v_name, cardinality(v_texts), v_least);
    continue when p_type <> 'EventReversed' or v_name = 'provider_groups';
    perform pg_temp.check_detail_rows(
      p_payload -> 'unknown' -> v_name, cardinality(v_texts), 0
    );
  end loop;
end $$;

create function pg_temp.check_reset(p_payload json) returns void
language plpgsql as $$
declare
  v_position text := '[0-9]{1,4}/(-1|[0-9]{1,16})';
begin
  perform pg_temp.to_time(pg_temp.to_text(p_payload -> 'at', ''));
  perform pg_temp.to_text(p_payload -> 'through', '^' || v_position || '(,' || v_position || ')*$');
  if (
    select
      count(distinct r.account) filter (where r.kind = 'key') <> 1
      or bool_or(r.kind = 'key' and (r.requests <> 0 or r.seconds <> 0))
    from pg_temp.read_amounts(p_payload, -9007199254740991, false) r
  ) then
    raise data_exception;
  end if;
end $$;

-- What acts take of entries for unknown keys, in the quarter hours of `counted_at`.
create function pg_temp.read_taken(p_type text, p_version integer, p_payload json)
returns table (
  kind text, name text, counted_at timestamptz, requests bigint, seconds bigint, flushes bigint,
  api_key_id bigint, group_id bigint, quota_used bigint, last_accessed_at bigint
)
language plpgsql as $$
declare
  v_from json := case when p_type = 'UnknownKeysAdopted' then p_payload
    when p_version > 1 then p_payload -> 'unknown' end;
  v_rows json;
  v_names text[];
  v_times text[];
  v_seconds bigint[];
  v_zeros bigint[];
  v_row record;
  v_is_adopted boolean := p_type = 'UnknownKeysAdopted';
begin
  if p_type = 'EventReversed' and p_version > 1 and (v_from is not null or p_version = 2)
    and coalesce(json_typeof(v_from), '') not in ('object', 'array') then
    raise data_exception;
  end if;
  foreach kind in array array['api_key', 'key'] loop
    v_rows := v_from -> (kind || 's');
    continue when v_rows is null;
    v_names := pg_temp.to_texts(
      v_rows -> case kind when 'key' then 'hashes' else 'names' end,
      case when v_is_adopted and kind = 'api_key' then '^([1-9][0-9]{0,15}|ext:.+)$' else '.' end
    );
    v_seconds := pg_temp.to_counts(
      v_rows -> case kind when 'key' then 'tokens' else 'successes' end, 0
    );
    v_zeros := array_fill(0, array[cardinality(v_names)]);
    v_times := case when v_is_adopted then pg_temp.to_texts(v_rows -> 'times', '')
      else array_fill(p_payload ->> 'at', array[cardinality(v_names)]) end;
    for v_row in
      select *
      from unnest(
        v_names, v_times, pg_temp.to_counts(v_rows -> 'requests', 0), v_seconds,
        case when v_is_adopted then pg_temp.to_counts(v_rows -> 'flushes', 0) else v_zeros end,
        case when v_is_adopted and kind = 'api_key'
          then pg_temp.to_counts(v_rows -> 'ids', 1) else v_zeros end,
        case when v_is_adopted and kind = 'api_key'
          then pg_temp.to_counts(v_rows -> 'groups', 0) else v_zeros end,
        case when v_is_adopted and kind = 'key'
          then pg_temp.to_counts(v_rows -> 'quota_used', 0) else v_zeros end,
        case when v_is_adopted and kind = 'key'
          then pg_temp.to_counts(v_rows -> 'last_accessed_at', 0) else v_zeros end
      ) with ordinality as r(
        name, counted_at, requests, seconds, flushes, api_key_id, group_id, quota_used,
        last_accessed_at, ordinal
      )
    loop
      -- A column that is shorter than another leaves a null.
      if not (v_row is not null)
        or v_is_adopted and kind = 'api_key' and v_row.seconds > v_row.requests
        or v_row.last_accessed_at > 253402300799
        or v_row.ordinal > 1 and v_row.counted_at < v_times[v_row.ordinal - 1] collate "C" then
        raise data_exception;
      end if;
      name := v_row.name;
      counted_at := pg_temp.to_time(v_row.counted_at);
      requests := v_row.requests;
      seconds := v_row.seconds;
      -- A name that is withdrawn has several rows if a sum is too large for one.
      flushes := case when v_is_adopted then v_row.flushes
        else (array_position(v_names, name) = v_row.ordinal)::integer end;
      api_key_id := v_row.api_key_id;
      group_id := v_row.group_id;
      quota_used := v_row.quota_used;
      last_accessed_at := v_row.last_accessed_at;
      return next;
    end loop;
  end loop;
end $$;

create function pg_temp.check_act(p_type text, p_version integer, p_payload json) returns void
language plpgsql as $$
begin
  if json_typeof(p_payload) <> 'object' then
    raise data_exception;
  end if;
  if p_type = 'UnknownKeysAdopted' then
    perform pg_temp.to_time(pg_temp.to_text(p_payload -> 'until', ''));
    perform pg_temp.to_counts(p_payload -> 'heads', -1);
    perform from pg_temp.read_taken(p_type, p_version, p_payload);
    if p_version = 2 then
      perform pg_temp.check_details(p_type, p_payload);
    end if;
    return;
  end if;
  if p_type = 'BalancesOpened' then
    perform pg_temp.check_opening(p_payload);
    return;
  end if;
  if length(pg_temp.to_text(p_payload -> 'reason', '')) not between 1 and 500 then
    raise data_exception;
  end if;
  perform from pg_temp.read_amounts(p_payload, -9007199254740991, false);
  if p_type = 'EventReversed' then
    perform pg_temp.check_reversal(p_payload);
    perform from pg_temp.read_taken(p_type, p_version, p_payload);
    if p_version = 3 then
      perform pg_temp.check_details(p_type, p_payload);
    end if;
  elsif p_type = 'QuotaReset' then
    perform pg_temp.check_reset(p_payload);
  end if;
end $$;

-- What an act adds to accounts. Usage counts it at `counted_at`, or in no hour.
create function pg_temp.read_act(p_type text, p_version integer, p_payload json)
returns table (
  kind text, account text, counted_at timestamptz, requests bigint, seconds bigint,
  quota_used bigint, last_accessed_at bigint
)
language sql as $$
  select
    r.kind, r.account,
    case when p_type = 'EventReversed' and p_payload ->> 'type' like '%StatsFlushed'
      then pg_temp.to_time(p_payload ->> 'at') end,
    s.sign * r.requests, s.sign * r.seconds, s.sign * r.quota_used, r.last_accessed_at
  from pg_temp.read_amounts(
      p_payload, -9007199254740991, p_type = 'BalancesOpened'
    ) r
    cross join (
      select case when p_type in ('EventReversed', 'QuotaReset') then -1 else 1 end as sign
    ) s
  where p_type in ('BalancesOpened', 'TotalsAdjusted', 'EventReversed')
    or p_type = 'QuotaReset' and r.kind = 'key'
  union all
  select
    c.kind, c.account, t.counted_at, t.requests, t.seconds, t.quota_used, t.last_accessed_at
  from pg_temp.read_taken(p_type, p_version, p_payload) t
    cross join lateral (
      values
        (t.kind, case t.kind when 'key' then t.name else t.api_key_id::text end),
        ('provider_group', nullif(t.group_id, 0)::text)
    ) c(kind, account)
  where p_type = 'UnknownKeysAdopted' and c.account is not null
$$;
