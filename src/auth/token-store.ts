import { hash, randomBytes } from 'node:crypto'
import { SERVICE_SOURCE } from '../events/statement.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { toMilliseconds } from '../platform/postgres/timestamp.ts'
import { ROLES, type Role } from './roles.ts'

/** A created token without its text, which is not stored. Times are RFC 3339. */
export type StoredToken = {
  name: string
  role: Role
  created_at: string
  /** Null if the token is valid. */
  revoked_at: string | null
}

/** Pattern of token names. The names of the three fixed tokens and of the service are reserved. */
export const NAME = '[a-z0-9][a-z0-9._-]{0,62}'

/** True for a name that no created token can have. */
export const isReserved = (name: string) =>
  name === SERVICE_SOURCE || (ROLES as readonly string[]).includes(name)

/** Generates the text of a token: a prefix with its role, then 192 random bits. */
export const makeToken = (role: Role) => `tb_${role}_${randomBytes(24).toString('base64url')}`

/**
 * Creates a token and returns its text, which can't be read again. Returns null if the name is
 * taken: a revoked token keeps its name, which is the source of its events.
 */
export async function createToken(
  sql: Sql,
  name: string,
  role: Role,
): Promise<{ token: string; created_at: string } | null> {
  const token = makeToken(role)
  const created_at = new Date().toISOString()
  const token_sha256 = hash('sha256', token, 'hex')
  const rows = await sql`
    insert into tokens (name, role, token_sha256, created_at, row_sha256)
    select t.*, token_row_hash(t.name, t.role, t.token_sha256, t.created_at, null)
    from (
      select
        ${name}::text, ${role}::text, decode(${token_sha256}, 'hex'), ${created_at}::timestamptz
    ) as t(name, role, token_sha256, created_at)
    on conflict (name) do nothing
    returning name`
  return rows.length === 0 ? null : { token, created_at }
}

/** Revokes a token. Returns false if there is no valid token of that name. */
export async function revokeToken(sql: Sql, name: string): Promise<boolean> {
  const at = new Date().toISOString()
  const rows = await sql`
    update tokens t
    set
      revoked_at = ${at}::timestamptz,
      row_sha256 =
        token_row_hash(t.name, t.role, t.token_sha256, t.created_at, ${at}::timestamptz)
    where t.name = ${name} and t.revoked_at is null
    returning t.name`
  return rows.length > 0
}

/** Returns all tokens ever created, ordered by name. */
export async function listTokens(sql: Sql): Promise<StoredToken[]> {
  const rows = await sql<StoredToken[]>`
    select
      t.name, t.role,
      ${sql.unsafe(toMilliseconds('t.created_at'))} as created_at,
      ${sql.unsafe(toMilliseconds('t.revoked_at'))} as revoked_at
    from tokens t
    order by t.name`
  return [...rows]
}

/** Returns the valid tokens, with the SHA-256 of their text in hex. */
export async function readLiveTokens(
  sql: Sql,
): Promise<{ name: string; role: Role; sha256: string }[]> {
  return await sql<{ name: string; role: Role; sha256: string }[]>`
    select t.name, t.role, encode(t.token_sha256, 'hex') as sha256
    from tokens t
    where t.revoked_at is null`
}
