-- Snapshots thin out with age: what the events from the first one through each of them cost to fold
-- decides which are kept (src/read-model/projector/thin-snapshots.ts). Only the first page of a
-- snapshot has it. For those that are there it is estimated when the next one was made.
alter table provider_group_snapshots add column cost bigint;
