-- Moves the checkpoint of a projection in a shard from p_from to p_to. It is called first in the
-- transaction that writes what was folded between them. The checkpoint's row stays locked until
-- commit, so a second projector waits here and then fails with TB001. A projector whose generation
-- was replaced by a rebuild fails, too: its checkpoints are gone.
create or replace function move_checkpoint(
  p_shard integer,
  p_projection text,
  p_generation integer,
  p_from bigint,
  p_to bigint
) returns void
language plpgsql
set search_path from current as $$
begin
  update checkpoints c
  set position = p_to
  where c.shard = p_shard
    and c.projection = p_projection
    and c.generation = p_generation
    and c.position = p_from;
  if not found then
    raise exception 'checkpoint of % in shard % is not at %', p_projection, p_shard, p_from
      using errcode = 'TB001';
  end if;
end
$$;
