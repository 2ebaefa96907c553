import { type Fragment, type Sql, transact } from '../platform/postgres/pool.ts'
import { toMilliseconds } from '../platform/postgres/timestamp.ts'
import { queueEvents } from './outbox.ts'
import { makeSecret } from './signature.ts'

/** How many webhooks there can be. */
export const MAX_WEBHOOKS = 20

/** How long the former secret signs after a rotation. */
const ROTATION = '24 hours'

/** A webhook without its secrets. Times are RFC 3339. */
export type Webhook = {
  name: string
  url: string
  enabled: boolean
  created_at: string
  /** Until when requests have two signatures; null if they have one. */
  rotating_until: string | null
  pending: number
  given_up: number
  /** Attempts that have failed since one succeeded, and what the last attempt came to. */
  failures: number
  last_attempt_at: string | null
  last_status: number | null
  last_error: string | null
}

/** Where to send to, and the secrets to sign with, the newest first. */
export type Target = { url: string; secrets: readonly string[] }

/** Returns the webhooks by name. */
export async function listWebhooks(sql: Sql): Promise<Webhook[]> {
  // A literal, as the indexes of deliveries have it.
  const count = (state: Fragment) => sql`
    (
      select count(*) from webhook_deliveries d where d.webhook = w.name and d.state = ${state}
    )::float8`
  const rows = await sql<Webhook[]>`
    select
      w.name, w.url, w.is_enabled as enabled, w.failures,
      ${sql.unsafe(toMilliseconds('w.created_at'))} as created_at,
      case when w.previous_until > clock_timestamp()
        then ${sql.unsafe(toMilliseconds('w.previous_until'))} end as rotating_until,
      ${count(sql`'pending'`)} as pending, ${count(sql`'given_up'`)} as given_up,
      ${sql.unsafe(toMilliseconds('d.last_attempt_at'))} as last_attempt_at,
      d.status as last_status, d.error as last_error
    from webhooks w
      left join lateral (
        select d.last_attempt_at, d.status, d.error
        from webhook_deliveries d
        where d.webhook = w.name and d.last_attempt_at is not null
        order by d.last_attempt_at desc
        limit 1
      ) d on true
    order by w.name`
  return [...rows]
}

/**
 * Creates a webhook that gets the events from now on, and returns its secret, which can't be read
 * again; `name taken` or `too many` if it can't.
 */
export function createWebhook(
  sql: Sql,
  name: string,
  url: string,
): Promise<{ secret: string; created_at: string } | 'name taken' | 'too many'> {
  return transact(sql, '', async (transaction) => {
    // One creation at a time, so that the limit is exact. Attempts are recorded after it.
    await transaction`lock table webhooks in share row exclusive mode`
    const rows = await transaction<{ name: string }[]>`select w.name from webhooks w`
    if (rows.some((row) => row.name === name)) return 'name taken'
    if (rows.length >= MAX_WEBHOOKS) return 'too many'
    const secret = makeSecret()
    const created_at = new Date().toISOString()
    await transaction`
      insert into webhooks (name, url, secret, is_enabled, created_at, queued_through)
      select ${name}, ${url}, ${secret}, true, ${created_at}::timestamptz,
        coalesce(max(r.position), -1)
      from rule_events r`
    return { secret, created_at }
  })
}

/** What can be changed of a webhook; absent for what stays. */
export type WebhookChange = { url?: string; enabled?: boolean }

/**
 * Changes a webhook. One that is enabled gets the events from then on, and one that no longer is
 * those up to then. False if there is none.
 */
export function changeWebhook(
  sql: Sql,
  name: string,
  { url, enabled }: WebhookChange,
): Promise<boolean> {
  return transact(sql, '', async (transaction) => {
    if (enabled === false) await queueEvents(transaction)
    const rows = await transaction`
      update webhooks w
      set
        url = coalesce(${url ?? null}::text, w.url),
        is_enabled = coalesce(${enabled ?? null}::boolean, w.is_enabled),
        queued_through = case when w.is_enabled then w.queued_through
          else (select coalesce(max(r.position), -1) from rule_events r) end
      where w.name = ${name}
      returning w.name`
    return rows.length > 0
  })
}

/** Makes another secret and returns it; null if there is no such webhook. */
export async function rotateSecret(
  sql: Sql,
  name: string,
): Promise<{ secret: string; rotating_until: string } | null> {
  const secret = makeSecret()
  const [row] = await sql<{ rotating_until: string }[]>`
    update webhooks w
    set
      secret = ${secret}, previous_secret = w.secret,
      previous_until = clock_timestamp() + ${ROTATION}::interval
    where w.name = ${name}
    returning ${sql.unsafe(toMilliseconds('w.previous_until'))} as rotating_until`
  return row === undefined ? null : { secret, rotating_until: row.rotating_until }
}

/** Deletes a webhook with its deliveries. False if there is none. */
export async function deleteWebhook(sql: Sql, name: string): Promise<boolean> {
  const rows = await sql`delete from webhooks w where w.name = ${name} returning w.name`
  return rows.length > 0
}

/** Reads where to send to; null if there is no such webhook. */
export async function readTarget(sql: Sql, name: string): Promise<Target | null> {
  const [row] = await sql<{ url: string; secret: string; previous_secret: string | null }[]>`
    select
      w.url, w.secret,
      case when w.previous_until > clock_timestamp() then w.previous_secret end as previous_secret
    from webhooks w
    where w.name = ${name}`
  if (row === undefined) return null
  const { url, secret, previous_secret } = row
  return { url, secrets: previous_secret === null ? [secret] : [secret, previous_secret] }
}
