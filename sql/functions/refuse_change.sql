-- Refuses every change of an event, with a hint on what to do instead.
create or replace function refuse_change() returns trigger
language plpgsql as $$
begin
  raise exception 'events are immutable: % refused', lower(tg_op)
    using errcode = 'insufficient_privilege',
          hint = 'Append a correcting event instead.';
end
$$;
