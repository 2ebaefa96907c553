-- Returns true if there may be a snapshot in which the rows of a table are missing, because it is
-- older than the transaction that made the table; or no such table. Such a snapshot would not see
-- them in a partition of the log either, and so miss events. Those of replicas count, too, if they
-- tell which they have (hot_standby_feedback).
create or replace function has_older_snapshot(p_table text) returns boolean
language sql volatile
set search_path from current as $$
  select not exists (
    select
    from pg_class c
    where c.oid = to_regclass(quote_ident(p_table))
      and not exists (
        select
        from pg_stat_activity s
        where s.pid <> pg_backend_pid() and age(s.backend_xmin) >= age(c.xmin)
          and (s.datname = current_database() or s.backend_type = 'walsender')
      )
  )
$$;
