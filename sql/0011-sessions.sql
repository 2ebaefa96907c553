-- Who is signed in to the console. A browser holds a random id in a cookie; here is its SHA-256. A
-- session ends with the token that was shown for it, the one of this name, whose text the proof is
-- of: the SHA-256 of the id and of the token's. A hash of the token alone would let who reads the
-- table try out tokens, and an operator may have chosen a short one. Nothing refers to these rows,
-- and expired ones are taken away.
create table sessions (
  id_sha256 bytea primary key check (octet_length(id_sha256) = 32),
  token_name text not null,
  token_proof bytea not null check (octet_length(token_proof) = 32),
  expires_at timestamptz not null
);

create index sessions_expires_at on sessions (expires_at);

grant select, insert, delete on sessions to tallybook_service;
