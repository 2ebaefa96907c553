-- The names that gateways use for provider groups and API keys. No event before this migration has
-- one, so the catalog that was folded from them is complete.
alter table provider_groups add column external_id text;
alter table provider_group_versions add column external_id text;
alter table api_keys add column external_id text;
alter table api_key_versions add column external_id text;

create index provider_groups_external_id on provider_groups (generation, external_id);
create index api_keys_external_id on api_keys (generation, external_id);
