-- Makes the table p_next, with the events of the partition p_table of the log that are no flushes:
-- they never leave the database. One that was left by a call that was killed is replaced. Only the
-- owner may call it.
create or replace function copy_segment(p_table text, p_next text) returns void
language plpgsql
set search_path from current as $$
begin
  execute format('drop table if exists %I', p_next);
  execute format(
    'create table %I (
       like events including defaults including constraints including storage including indexes
     )', p_next
  );
  execute format(
    'insert into %I
     select e.* from %I e where e.type not in (''ApiKeyStatsFlushed'', ''KeyStatsFlushed'')',
    p_next, p_table
  );
  execute format(
    'create trigger events_refuse_truncate before truncate on %I
       for each statement execute function refuse_change()', p_next
  );
end
$$;
