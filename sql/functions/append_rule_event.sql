-- Appends a RuleCrossed or RuleCleared to shard 0, as append_event does, and changes what is
-- crossed.
--
-- Returns its position, or null, and nothing was appended, if the newest event of a rule is another
-- one than that at p_rule_position (-1: there is none).
--
-- Lock: shard 0's row.
--
-- TB002, 23505: as in append_batch.
create or replace function append_rule_event(
  p_rule_position bigint,
  p_type text,
  p_version smallint,
  p_source text,
  p_payload text,
  p_payload_sha256 text,
  p_rule text,
  p_subject_kind text,
  p_subject_id text,
  p_clock timestamptz,
  p_clock_tolerance interval
) returns bigint
language plpgsql
set search_path from current as $$
declare
  v_position bigint;
begin
  perform from shards s where s.shard = 0 for update;

  -- After the lock: sees what the appends before it committed.
  if p_rule_position <> (select coalesce(max(r.position), -1) from rule_events r) then
    return null;
  end if;

  select a.position into strict v_position
  from append_event(
    0, p_type, p_version, p_source, '', p_payload, p_payload_sha256, p_clock, p_clock_tolerance
  ) a;

  insert into rule_events (position) values (v_position);

  if p_type = 'RuleCrossed' then
    insert into crossings (rule, subject_kind, subject_id, position)
    values (p_rule, p_subject_kind, p_subject_id, v_position);
  else
    delete from crossings c
    where c.rule = p_rule and c.subject_kind = p_subject_kind and c.subject_id = p_subject_id;
  end if;

  return v_position;
end
$$;
