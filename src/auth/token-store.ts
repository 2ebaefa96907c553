import { hash, randomBytes } from 'node:crypto'
import { type Event, hashPayload, versionOf } from '../events/event.ts'
import { SERVICE_SOURCE } from '../events/statement.ts'
import { TOKEN_NAME, type TokenChange } from '../events/types/token-events.ts'
import { retryOvertaken } from '../log/overtaken.ts'
import { ownClock } from '../platform/postgres/clock.ts'
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
export const NAME = TOKEN_NAME

/** True for a name that no created token can have. */
export const isReserved = (name: string) =>
  name === SERVICE_SOURCE || (ROLES as readonly string[]).includes(name)

/** Generates the text of a token: a prefix with its role, then 192 random bits. */
export const makeToken = (role: Role) => `tb_${role}_${randomBytes(24).toString('base64url')}`

/**
 * Creates a token and records that in the log, in one transaction. Returns its text, which can't
 * be read again, and the position of the event in shard 0. Returns null if the name is taken: a
 * revoked token keeps its name, which is the source of its events. `source` is who creates it.
 *
 * Failed and not stored, and failed but stored (the answer was lost), look alike: the list of
 * tokens shows which. A token that was stored then is of no use, as its text is lost.
 */
export async function createToken(
  sql: Sql,
  { name, role }: TokenChange,
  source: string,
): Promise<{ token: string; created_at: string; position: number } | null> {
  const token = makeToken(role)
  const created_at = new Date().toISOString()
  const { version, payload, sha256 } = describe({ type: 'TokenCreated', data: { name, role } })
  const [row] = await retryOvertaken(
    () => sql<{ position: string | null }[]>`
      select create_token(
        ${name}, ${role}, ${hash('sha256', token, 'hex')}, ${created_at}::timestamptz,
        ${version}::smallint, ${source}, ${payload}, ${sha256}, ${ownClock(sql)}
      ) as position`,
  )
  const { position } = row!
  return position === null ? null : { token, created_at, position: Number(position) }
}

/**
 * Revokes a token and records that in the log, in one transaction. Returns the position of the
 * event in shard 0, or null if there is no valid token of that name. `source` is who revokes it.
 *
 * Failed and not stored, and failed but stored, look alike: the next attempt finds no valid token.
 */
export async function revokeToken(sql: Sql, name: string, source: string): Promise<number | null> {
  // The role of a token never changes.
  const [live] = await sql<{ role: Role }[]>`
    select t.role from tokens t where t.name = ${name} and t.revoked_at is null`
  if (live === undefined) return null
  const { version, payload, sha256 } = describe({
    type: 'TokenRevoked',
    data: { name, role: live.role },
  })
  const [row] = await retryOvertaken(
    () => sql<{ position: string | null }[]>`
      select revoke_token(
        ${name}, ${new Date().toISOString()}::timestamptz, ${version}::smallint, ${source},
        ${payload}, ${sha256}, ${ownClock(sql)}
      ) as position`,
  )
  return row!.position === null ? null : Number(row!.position)
}

/** Returns what is stored of an event about a token. */
function describe(event: Extract<Event, { type: 'TokenCreated' | 'TokenRevoked' }>) {
  const payload = JSON.stringify(event.data)
  return { version: versionOf(event), payload, sha256: hashPayload(payload) }
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
