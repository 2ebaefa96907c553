-- Names in an order for people: apple before Zebra, Äpfel beside apple, key 2 before key 10. The
-- order is the columns' own, so that no statement has to name it. It is deterministic: equal are
-- only names of the same bytes. A server without ICU keeps the order of the database; a start says
-- so.
--
-- One statement, as Citus sends workers the text of the whole that a change of a table stands in.
do $$
declare
  v_table text;
begin
  if exists (select from pg_collation where collprovider = 'i') then
    create collation names (provider = icu, locale = 'und-u-kn-true');
    foreach v_table in array array[
      'provider_groups', 'api_keys', 'keys',
      'provider_group_versions', 'api_key_versions', 'key_versions'
    ] loop
      execute format('alter table %I alter column name type text collate names', v_table);
    end loop;
  end if;
  -- A page of a list by name. No name is an empty one there.
  create index provider_groups_by_name on provider_groups (generation, coalesce(name, ''), id);
  create index api_keys_by_name on api_keys (generation, coalesce(name, ''), id);
  create index keys_by_name on keys (generation, coalesce(name, ''), token_hash);
end
$$;
