-- Tokens that were made, beside the three fixed ones of the environment or the data directory. A
-- row stays when its token is revoked: its name is the source of events.
create table tokens (
  name text primary key,
  role text not null check (role in ('dp', 'admin', 'auditor')),
  -- The text itself is nowhere.
  token_sha256 bytea not null check (octet_length(token_sha256) = 32),
  created_at timestamptz not null,
  revoked_at timestamptz
);

grant select, insert, update (revoked_at) on tokens to tallybook_service;
