-- Makes the table `<p_table>_next`, with the events of a partition of the log that are no flushes:
-- they never leave the database. Only the owner may call it.
create or replace function copy_segment(p_table text) returns void
language plpgsql
set search_path from current as $$
declare
  v_next text := p_table || '_next';
begin
  execute format(
    'create table %I (
       like events including defaults including constraints including storage including indexes
     )', v_next
  );
  execute format(
    'insert into %I
     select e.* from %I e where e.type not in (''ApiKeyStatsFlushed'', ''KeyStatsFlushed'')',
    v_next, p_table
  );
  execute format(
    'create trigger events_refuse_truncate before truncate on %I
       for each statement execute function refuse_change()', v_next
  );
end
$$;
