create temporary table idempotency_hashes (
  slot smallint,
  shard integer,
  position bigint,
  hash bytea
) partition by list (slot);

-- Each partition holds a sixteenth of the keys, so that no statement over them takes long.
do $$ begin
  for v_slot in 0 .. 15 loop
    execute format(
      'create temporary table idempotency_hashes_%s partition of idempotency_hashes
       for values in (%s)', v_slot, v_slot
    );
  end loop;
end $$;
