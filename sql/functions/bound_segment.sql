-- Gives the table `<p_table>_next` the constraint of the partition, which reads the table. Only the
-- owner may call it.
create or replace function bound_segment(p_table text) returns void
language plpgsql
set search_path from current as $$
begin
  execute format(
    'alter table %I add constraint events_of_partition check (%s)',
    p_table || '_next', pg_get_partition_constraintdef(to_regclass(quote_ident(p_table)))
  );
end
$$;
