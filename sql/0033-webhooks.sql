-- Where events of rules are sent. None of it is in the log: secrets are only here.
create table webhooks (
  name text primary key,
  url text not null,
  -- whsec_ and base64. The former one signs as well until previous_until.
  secret text not null,
  previous_secret text,
  previous_until timestamptz,
  is_enabled boolean not null,
  created_at timestamptz not null,
  -- The events of rules up to this position of shard 0 have deliveries, or need none.
  queued_through bigint not null,
  -- Attempts that have failed since one succeeded.
  failures integer not null default 0
);

-- One row for each event and webhook. It is due at next_attempt_at while it is pending; an attempt
-- moves that on before it begins, so that one that was killed is made again.
create table webhook_deliveries (
  webhook text not null references webhooks on delete cascade,
  position bigint not null,
  state text not null check (state in ('pending', 'delivered', 'given_up')),
  attempts integer not null,
  next_attempt_at timestamptz,
  last_attempt_at timestamptz,
  finished_at timestamptz,
  -- Of the last attempt: the status of the answer, or why there was none.
  status integer,
  error text,
  primary key (webhook, position)
);

create index webhook_deliveries_due on webhook_deliveries (next_attempt_at)
  where state = 'pending';
create index webhook_deliveries_finished on webhook_deliveries (finished_at)
  where state <> 'pending';
