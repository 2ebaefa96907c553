-- Checks rules of the catalog and their events. Written from docs/reference/log-format.md. A function
-- raises an error if no append could have written the payload.

create function pg_temp.require_between(p_number json, p_least bigint, p_most bigint) returns void
language plpgsql as $$
begin
  if (pg_temp.to_counts(json_build_array(p_number), p_least))[1] > p_most then
    raise data_exception;
  end if;
end $$;

create function pg_temp.check_rule(p_rule json) returns void
language plpgsql as $$
declare
  v_kind text := pg_temp.to_text(
    p_rule -> 'kind', '^(success_rate|quota|silent_source|failed_verification)$'
  );
  v_below float8;
begin
  perform pg_temp.to_text(p_rule -> 'name', '^[a-z][a-z0-9_]{0,63}$');
  if v_kind = 'success_rate' then
    perform pg_temp.to_text(p_rule -> 'of', '^(provider_group|api_key)$');
    perform pg_temp.require_between(p_rule -> 'id', 1, 9007199254740991);
    perform pg_temp.require_between(p_rule -> 'minutes', 1, 1440);
    perform pg_temp.require_between(p_rule -> 'min_requests', 1, 9007199254740991);
    v_below := (p_rule ->> 'below')::float8;
    if json_typeof(p_rule -> 'below') is distinct from 'number'
      or v_below not between 0.0001 and 1 then
      raise data_exception;
    end if;
  elsif v_kind = 'quota' then
    perform pg_temp.require_between(p_rule -> 'percent', 1, 100);
    if p_rule -> 'token_hash' is not null then
      perform pg_temp.to_name(p_rule -> 'token_hash', 1);
    end if;
  elsif v_kind = 'silent_source' and p_rule -> 'source' is not null then
    perform pg_temp.to_name(p_rule -> 'source', 1);
  end if;
end $$;

-- Earlier versions than 4 have no rules.
create function pg_temp.check_rules(p_version integer, p_payload json) returns void
language plpgsql as $$
declare
  v_list text;
  v_rule json;
begin
  foreach v_list in array array['upserted', 'ended'] loop
    continue when p_payload -> v_list -> 'rules' is null;
    if p_version < 4 then
      raise data_exception;
    end if;
    for v_rule in select r.value from json_array_elements(p_payload -> v_list -> 'rules') r loop
      perform pg_temp.check_rule(v_rule);
    end loop;
  end loop;
end $$;

create function pg_temp.check_rule_event(p_type text, p_payload json) returns void
language plpgsql as $$
declare
  c_positions constant text :=
    '^[0-9]{1,4}/(-1|[0-9]{1,16})(,[0-9]{1,4}/(-1|[0-9]{1,16}))*$';
  v_member text;
begin
  perform pg_temp.check_rule(p_payload -> 'rule');
  perform pg_temp.to_text(
    p_payload -> 'subject' -> 'kind', '^(provider_group|api_key|key|source|log)$'
  );
  perform pg_temp.to_name(p_payload -> 'subject' -> 'id', 0);
  for v_member in select json_object_keys(p_payload -> 'value') loop
    if v_member !~ '^[a-z_]{1,63}$' then
      raise data_exception;
    end if;
    perform pg_temp.require_between(p_payload -> 'value' -> v_member, 0, 9007199254740991);
  end loop;
  if json_typeof(p_payload -> 'value') is distinct from 'object' then
    raise data_exception;
  end if;
  perform pg_temp.to_time(pg_temp.to_text(p_payload -> 'at', '.'));
  perform pg_temp.to_text(p_payload -> 'through', c_positions);
  if p_payload -> 'from' is not null then
    perform pg_temp.to_text(p_payload -> 'from', c_positions);
  end if;
  if p_type = 'RuleCleared' then
    perform pg_temp.to_time(pg_temp.to_text(p_payload -> 'crossed_at', '.'));
    perform pg_temp.to_text(p_payload -> 'why', '^(recovered|unwatched)$');
  end if;
end $$;
