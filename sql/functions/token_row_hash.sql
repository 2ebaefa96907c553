-- Returns the `row_sha256` of a token: SHA-256 of its other columns as JSON.
create or replace function token_row_hash(
  p_name text,
  p_role text,
  p_token_sha256 bytea,
  p_created_at timestamptz,
  p_revoked_at timestamptz
) returns bytea
language sql stable
set search_path from current as $$
  select sha256(convert_to(
    json_build_array(
      p_name, p_role, encode(p_token_sha256, 'hex'),
      extract(epoch from p_created_at), extract(epoch from p_revoked_at)
    )::text,
    'UTF8'
  ))
$$;
