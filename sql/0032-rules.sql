-- What rules have crossed. All of it follows from the log: src/rules writes it with each event of a
-- rule, and reads the log once where it was imported.

-- One row: through which position of shard 0 the log was read for events of rules that came into it
-- otherwise than by append_rule_event; -1 if it has to be read.
create table rule_folds (
  read_through bigint not null
);

insert into rule_folds (read_through)
select coalesce(max(e.position), -1) from events e where e.shard = 0;

-- The events of rules, all in shard 0.
create table rule_events (
  position bigint primary key
);

-- What is crossed now, by the position of its RuleCrossed.
create table crossings (
  rule text not null,
  subject_kind text not null,
  subject_id text not null,
  position bigint not null,
  primary key (rule, subject_kind, subject_id)
);
