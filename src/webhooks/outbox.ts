import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toMilliseconds } from '../platform/postgres/timestamp.ts'
import { delayAfter } from './backoff.ts'
import type { Outcome } from './send.ts'

/**
 * How long (s) an attempt keeps others from being made. Longer than any takes: if its process was
 * killed, the next one is made then.
 */
export const LEASE_S = 60

/** How long finished deliveries are kept. */
const KEPT = '30 days'

/** A delivery that is to be attempted; `attempt` is 1 the first time. */
export type Due = { webhook: string; position: number; attempt: number }

/** A delivery as it is listed, with the position of its event in shard 0. Times are RFC 3339. */
export type Delivery = {
  webhook: string
  position: string
  state: 'pending' | 'delivered' | 'given_up'
  attempts: number
  next_attempt_at: string | null
  last_attempt_at: string | null
  status: number | null
  error: string | null
}

/**
 * Makes the deliveries of new events, one for each webhook that is enabled. Events that were
 * imported need none. Any number of processes may do so at once: the rows of webhooks are locked.
 */
export async function queueEvents(sql: Sql | Transaction): Promise<void> {
  const news = await sql`
    select from webhooks w
    where w.queued_through < (select max(r.position) from rule_events r)
    limit 1`
  if (news.length === 0) return
  await sql`
    with behind as materialized (
      select w.name, w.is_enabled, w.queued_through from webhooks w order by w.name for update
    ),
    newest as (select max(r.position) as position from rule_events r),
    moved as (
      update webhooks w set queued_through = n.position
      from behind b, newest n
      where w.name = b.name and b.queued_through < n.position
    )
    insert into webhook_deliveries (webhook, position, state, attempts, next_attempt_at)
    select b.name, r.position, 'pending', 0, clock_timestamp()
    from behind b
      cross join rule_folds f
      join rule_events r on r.position > greatest(b.queued_through, f.read_through)
    where b.is_enabled
    on conflict (webhook, position) do nothing`
}

/** Returns the enabled webhooks that have deliveries that are due. */
export async function readDueWebhooks(sql: Sql): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select w.name
    from webhooks w
    where w.is_enabled and exists (
      select from webhook_deliveries d
      where d.webhook = w.name and d.state = 'pending' and d.next_attempt_at <= clock_timestamp()
    )
    order by w.name`
  return rows.map(({ name }) => name)
}

/**
 * Makes due what was attempted or queued in the future, while the clock of the database was wrong.
 * Nothing else waits for longer than it should once the clock was set back.
 */
export async function makeFutureDue(sql: Sql): Promise<void> {
  await sql`
    update webhook_deliveries d
    set next_attempt_at = clock_timestamp(), last_attempt_at = least(
      d.last_attempt_at, clock_timestamp()
    )
    where d.state = 'pending'
      and coalesce(d.last_attempt_at, d.next_attempt_at)
        > clock_timestamp() + make_interval(secs => ${LEASE_S})`
}

/** Takes up to `limit` deliveries of a webhook that are due, which no other process then takes. */
export async function takeDue(sql: Sql, webhook: string, limit: number): Promise<Due[]> {
  const rows = await sql<{ position: string; attempts: number }[]>`
    update webhook_deliveries d
    set
      attempts = d.attempts + 1, last_attempt_at = clock_timestamp(),
      next_attempt_at = clock_timestamp() + make_interval(secs => ${LEASE_S})
    where d.webhook = ${webhook} and d.position in (
      select n.position
      from webhook_deliveries n
      where n.webhook = ${webhook} and n.state = 'pending'
        and n.next_attempt_at <= clock_timestamp()
      order by n.next_attempt_at, n.position
      limit ${limit}
      for update skip locked
    )
    returning d.position, d.attempts`
  return rows.map(({ position, attempts }) => ({
    ...{ webhook, position: Number(position), attempt: attempts },
  }))
}

export const isDelivered = ({ status }: Outcome) => status !== null && status >= 200 && status < 300

/**
 * Records what an attempt came to, unless another one was begun since. Returns the state of the
 * delivery; null if it is gone.
 */
export async function recordOutcome(
  sql: Sql,
  { webhook, position, attempt }: Due,
  outcome: Outcome,
): Promise<Delivery['state'] | null> {
  const delay = isDelivered(outcome) ? null : delayAfter(attempt, Math.random())
  const state = isDelivered(outcome) ? 'delivered' : delay === null ? 'given_up' : 'pending'
  const rows = await sql`
    -- First, as whoever deletes it does: neither waits for the other then.
    with webhook as materialized (
      select w.name from webhooks w where w.name = ${webhook} for update
    ),
    changed as (
      update webhook_deliveries d
      set
        state = ${state}, status = ${outcome.status}, error = ${outcome.error},
        next_attempt_at = clock_timestamp() + make_interval(secs => ${delay}),
        finished_at = case when ${state} <> 'pending' then clock_timestamp() end
      from webhook w
      where d.webhook = w.name and d.position = ${position} and d.attempts = ${attempt}
        and d.state = 'pending'
      returning d.webhook
    )
    update webhooks w
    set failures = case when ${state} = 'delivered' then 0 else w.failures + 1 end
    from changed c
    where w.name = c.webhook
    returning w.name`
  return rows.length === 0 ? null : state
}

/** Notes that a webhook takes what is sent to it: it fails no longer. */
export async function noteWorking(sql: Sql, webhook: string): Promise<void> {
  await sql`update webhooks w set failures = 0 where w.name = ${webhook} and w.failures > 0`
}

/** Undoes that a delivery was taken, because its attempt was cut: it is due at once. */
export async function giveBack(sql: Sql, { webhook, position, attempt }: Due): Promise<void> {
  await sql`
    update webhook_deliveries d
    set attempts = d.attempts - 1, next_attempt_at = clock_timestamp()
    where d.webhook = ${webhook} and d.position = ${position} and d.attempts = ${attempt}
      and d.state = 'pending'`
}

/** Lists the newest deliveries, perhaps of one webhook. */
export async function listDeliveries(
  sql: Sql,
  { webhook, limit }: { webhook: string | null; limit: number },
): Promise<Delivery[]> {
  const rows = await sql<Delivery[]>`
    select
      d.webhook, d.position, d.state, d.attempts, d.status, d.error,
      ${sql.unsafe(toMilliseconds('d.next_attempt_at'))} as next_attempt_at,
      ${sql.unsafe(toMilliseconds('d.last_attempt_at'))} as last_attempt_at
    from webhook_deliveries d
    where ${webhook === null ? sql`true` : sql`d.webhook = ${webhook}`}
    order by d.position desc, d.webhook
    limit ${limit}`
  return [...rows]
}

/** Counts deliveries by their state, and the webhooks whose last attempt failed. */
export async function countDeliveries(
  sql: Sql,
): Promise<{ pending: number; given_up: number; failing: number }> {
  const [row] = await sql<{ pending: number; given_up: number; failing: number }[]>`
    select
      (select count(*) from webhook_deliveries d where d.state = 'pending')::float8 as pending,
      (select count(*) from webhook_deliveries d where d.state = 'given_up')::float8 as given_up,
      (select count(*) from webhooks w where w.is_enabled and w.failures > 0)::float8 as failing`
  return row!
}

/** Deletes deliveries that were finished long ago, and secrets that sign no more. */
export async function deleteOld(sql: Sql): Promise<void> {
  await sql`
    update webhooks w
    set previous_secret = null, previous_until = null
    where w.previous_until < clock_timestamp()`
  await sql`
    delete from webhook_deliveries d
    where d.state <> 'pending' and d.finished_at < clock_timestamp() - ${KEPT}::interval`
}
