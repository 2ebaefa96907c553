-- Returns the `row_sha256` of a verification: SHA-256 of its other columns as JSON.
create or replace function verification_row_hash(
  p_id bigint,
  p_due_at timestamptz,
  p_started_at timestamptz,
  p_finished_at timestamptz,
  p_positions text,
  p_events bigint,
  p_problems integer,
  p_report json
) returns bytea
language sql stable
set search_path from current as $$
  select sha256(convert_to(
    json_build_array(
      p_id,
      extract(epoch from p_due_at),
      extract(epoch from p_started_at),
      extract(epoch from p_finished_at),
      p_positions, p_events, p_problems, p_report::text
    )::text,
    'UTF8'
  ))
$$;
