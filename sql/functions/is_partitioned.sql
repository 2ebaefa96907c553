-- Returns true for a table of this schema that has one partition per generation.
create or replace function is_partitioned(p_table text) returns boolean
language sql stable
set search_path from current as $$
  select exists (
    select from pg_class c
    where c.oid = to_regclass(quote_ident(p_table))
      and c.relkind = 'p'
      and c.relnamespace = 'tallybook'::regnamespace
  )
$$;
