import { randomBytes } from 'node:crypto'
import type { Sql } from '../platform/postgres/pool.ts'
import type { Principal } from './roles.ts'
import { sha256, type Tokens } from './tokens.ts'

/** How long (s) a session lasts: a working day. */
export const SESSION_S = 12 * 60 * 60

/** Maximum number of open sessions per token: enough for everyone who shares it. */
export const MAX_SESSIONS = 100

/** A session id: 256 random bits in base64url. */
const ID = /^[A-Za-z0-9_-]{43}$/

/**
 * Begins a session of a token, valid on every instance. Its id is stored nowhere: if the answer is
 * lost, a row is left that no one can use. Deletes expired sessions, and the oldest of this token
 * if it has too many.
 */
export async function beginSession(
  sql: Sql,
  name: string,
  token: string,
): Promise<{ id: string; expiresAt: string }> {
  const id = randomBytes(32).toString('base64url')
  await sql`
    delete from sessions s
    where s.expires_at < now() or s.token_name = ${name} and s.expires_at <= (
      select o.expires_at
      from sessions o
      where o.token_name = ${name}
      order by o.expires_at desc
      offset ${MAX_SESSIONS - 1}
      limit 1
    )`
  const [row] = await sql<{ expires_at: Date }[]>`
    insert into sessions (id_sha256, token_name, token_proof, expires_at)
    values (
      decode(${sha256(id)}, 'hex'),
      ${name},
      decode(${toProof(id, sha256(token))}, 'hex'),
      now() + make_interval(secs => ${SESSION_S})
    )
    returning expires_at`
  return { id, expiresAt: row!.expires_at.toISOString() }
}

/** A session without its id: identified by the SHA-256 of the id, in hex. */
export type Session = { idSha256: string; expiresAt: string }

/**
 * Returns a session and its principal, or null if there is no such session, it has ended, or its
 * token is no longer valid.
 */
export async function findSession(
  sql: Sql,
  tokens: Tokens,
  id: string,
): Promise<(Principal & Session) | null> {
  if (!ID.test(id)) return null
  const idSha256 = sha256(id)
  const [row] = await sql<{ name: string; proof: string; expires_at: Date }[]>`
    select s.token_name as name, encode(s.token_proof, 'hex') as proof, s.expires_at
    from sessions s
    where s.id_sha256 = decode(${idSha256}, 'hex') and s.expires_at > now()`
  const token = row ? tokens.findNamed(row.name) : null
  // A fixed token keeps its name when a restart changes its text.
  if (token === null || toProof(id, token.sha256) !== row!.proof) return null
  return { ...token.principal, idSha256, expiresAt: row!.expires_at.toISOString() }
}

/** Returns which of these sessions have neither ended nor expired. */
export async function findOpenSessions(
  sql: Sql,
  idsSha256: readonly string[],
): Promise<Set<string>> {
  const rows = await sql<{ id: string }[]>`
    select w.id
    from unnest(${idsSha256}::text[]) w (id)
      join sessions s on s.id_sha256 = decode(w.id, 'hex')
    where s.expires_at > now()`
  return new Set(rows.map(({ id }) => id))
}

/** Ends a session on every instance. Does nothing if there is none. */
export async function endSession(sql: Sql, id: string): Promise<void> {
  if (!ID.test(id)) return
  await sql`delete from sessions s where s.id_sha256 = decode(${sha256(id)}, 'hex')`
}

/** Ties a session to its token. Without the id, no one can use it to check guesses of the token. */
const toProof = (id: string, tokenSha256: string) => sha256(`${id} ${tokenSha256}`)
