-- Puts the table p_next into the place of the partition p_table of the log, which is dropped. Only
-- the owner may call it, when all rows of the new table belong there, and no snapshot is so old
-- that it does not see them (has_older_snapshot).
--
-- Lock: the parent of the partition, until commit. A constraint proves that the rows belong there,
-- so that they are not read once more under the lock.
create or replace function exchange_segment(p_table text, p_next text) returns void
language plpgsql
set search_path from current as $$
declare
  v_parent regclass;
  v_bound text;
begin
  select i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid) into strict v_parent, v_bound
  from pg_class c
    join pg_inherits i on i.inhrelid = c.oid
  where c.oid = to_regclass(quote_ident(p_table));

  execute format('alter table %s detach partition %I', v_parent, p_table);
  execute format('drop table %I', p_table);
  execute format('alter table %I rename to %I', p_next, p_table);
  execute format('alter table %s attach partition %I %s', v_parent, p_table, v_bound);
  execute format('alter table %I drop constraint events_of_partition', p_table);
end
$$;
