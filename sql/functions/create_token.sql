-- Creates a token and appends its TokenCreated to shard 0, as append_event does.
--
-- Returns the event's position. It is null, and nothing was changed, if the name is taken.
--
-- Locks: the name, then shard 0's row.
--
-- TB002, 23505: as in append_batch.
create or replace function create_token(
  p_name text,
  p_role text,
  p_token_sha256 text,
  p_created_at timestamptz,
  p_version smallint,
  p_source text,
  p_payload text,
  p_payload_sha256 text,
  p_clock timestamptz,
  p_clock_tolerance interval
) returns bigint
language plpgsql
set search_path from current as $$
declare
  v_sha256 bytea := decode(p_token_sha256, 'hex');
  v_position bigint;
begin
  insert into tokens (name, role, token_sha256, created_at, row_sha256)
  values (
    p_name, p_role, v_sha256, p_created_at,
    token_row_hash(p_name, p_role, v_sha256, p_created_at, null)
  )
  on conflict (name) do nothing;

  if not found then
    return null;
  end if;

  select a.position into strict v_position
  from append_event(
    0, 'TokenCreated', p_version, p_source, '', p_payload, p_payload_sha256, p_clock,
    p_clock_tolerance
  ) a;

  return v_position;
end
$$;
