-- Gives the table p_next the constraint of the partition p_table, which reads the new table. Only
-- the owner may call it.
create or replace function bound_segment(p_table text, p_next text) returns void
language plpgsql
set search_path from current as $$
begin
  execute format(
    'alter table %I add constraint events_of_partition check (%s)',
    p_next, pg_get_partition_constraintdef(to_regclass(quote_ident(p_table)))
  );
end
$$;
