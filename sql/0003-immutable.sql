-- Nothing updates or deletes an event: not the service, and not the owner by mistake.
create trigger events_refuse_change before update or delete on events
  for each row execute function refuse_change();

create trigger events_refuse_truncate before truncate on events
  for each statement execute function refuse_change();
