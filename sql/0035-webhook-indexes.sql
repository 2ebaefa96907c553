-- Find what is due of one webhook, the newest deliveries of all, and what lists and metrics count,
-- however many others there are: a month of deliveries may be a million.
drop index webhook_deliveries_due;

create index webhook_deliveries_due on webhook_deliveries (webhook, next_attempt_at, position)
  where state = 'pending';
create index webhook_deliveries_given_up on webhook_deliveries (webhook)
  where state = 'given_up';
create index webhook_deliveries_attempted on webhook_deliveries (webhook, last_attempt_at)
  where last_attempt_at is not null;
create index webhook_deliveries_newest on webhook_deliveries (position, webhook);
