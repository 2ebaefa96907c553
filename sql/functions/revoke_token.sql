-- Revokes a token and appends its TokenRevoked to shard 0, as append_event does.
--
-- Returns the event's position. It is null, and nothing was changed, if no valid token has that
-- name.
--
-- Locks: the token's row, then shard 0's.
--
-- TB002, 23505: as in append_batch.
create or replace function revoke_token(
  p_name text,
  p_revoked_at timestamptz,
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
  v_position bigint;
begin
  update tokens t
  set
    revoked_at = p_revoked_at,
    row_sha256 = token_row_hash(t.name, t.role, t.token_sha256, t.created_at, p_revoked_at)
  where t.name = p_name and t.revoked_at is null;

  if not found then
    return null;
  end if;

  select a.position into strict v_position
  from append_event(
    0, 'TokenRevoked', p_version, p_source, '', p_payload, p_payload_sha256, p_clock,
    p_clock_tolerance
  ) a;

  return v_position;
end
$$;
