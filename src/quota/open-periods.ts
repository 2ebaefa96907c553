import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import type { Intervals } from '../platform/intervals.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import {
  type Fragment,
  inSnapshot,
  type Sql,
  type Transaction,
  transact,
} from '../platform/postgres/pool.ts'
import { toTextArray } from '../read-model/projections/array.ts'
import { liveGeneration, liveSource } from '../read-model/queries/live-source.ts'
import { type Scope, timelyRows } from '../read-model/queries/scope.ts'
import { selectBackdated } from './backdated.ts'
import { firstStartOf, joinStarts, type PeriodKind, readKinds } from './kinds.ts'

/** The pause after a check that found nothing is at least so many times as long as the check. */
const PAUSE_FACTOR = 50

/**
 * Keys whose usage is added up in one transaction, in which the shard's usage can't be folded: at
 * most a third of a second, at the end of a month in which they were always in use.
 */
const KEYS_AT_ONCE = 200

export type OpenPeriodsOptions = Intervals['quota'] & {
  sql: Sql
  shards: number
  /** True if this instance folds the shard. */
  owns: (shard: number) => boolean
  logger: Logger
}

/** Makes the rows of periods that have begun, for as long as the service runs. */
export function keepPeriodsOpen(options: OpenPeriodsOptions): Poll {
  const { sql, shards, owns, pollIntervalMs, logger } = options
  const poll: Poll = new Poll(async () => {
    const started = performance.now()
    let opened = 0
    try {
      for (let shard = 0; shard < shards && !poll.isStopped; shard++) {
        if (owns(shard)) opened += await openPeriods(sql, shard, () => poll.isStopped)
      }
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'quota: could not open periods')
    }
    const tookMs = performance.now() - started
    return opened > 0 ? pollIntervalMs : Math.max(pollIntervalMs, PAUSE_FACTOR * tookMs)
  }, pollIntervalMs)
  return poll.start(0)
}

/**
 * Makes the rows of a shard for keys whose period has begun, or that have got one or another one.
 * Returns their number. Any number of processes may do so at once. If killed, those that were made
 * stay, and are right.
 */
export async function openPeriods(
  sql: Sql,
  shard: number,
  isStopped: () => boolean = () => false,
): Promise<number> {
  const kinds = await inSnapshot(sql, (transaction) =>
    readKinds(transaction, liveSource(transaction), { tokenHash: null }, null),
  )
  await renewRows(sql, shard, kinds.length > 0)
  if (kinds.length === 0) return 0
  const keys = await inSnapshot(sql, (transaction) => readUnopened(transaction, shard, kinds))
  let opened = 0
  while (opened < keys.length && !isStopped()) {
    const some = keys.slice(opened, opened + KEYS_AT_ONCE)
    if (!(await transact(sql, '', (transaction) => openSome(transaction, shard, some)))) break
    opened += some.length
  }
  return opened
}

/**
 * Removes the rows of a shard, and begins anew, if they are not as far as its usage: after a
 * rebuild of usage, or after an older release has folded it. Keeps none if no key has a period.
 */
async function renewRows(sql: Sql, shard: number, hasPeriods: boolean): Promise<void> {
  const isRight = (usage: UsageCheckpoint | null) =>
    usage === null || usage.periods_position === (hasPeriods ? usage.position : null)
  if (isRight(await readUsage(sql, shard))) return
  await transact(sql, '', async (transaction) => {
    const usage = await readUsage(transaction, shard, transaction`for update of c`)
    if (usage === null || isRight(usage)) return
    await transaction`delete from key_period_usage q where q.shard = ${shard}`
    await transaction`
      update checkpoints c
      set periods_position = ${hasPeriods ? usage.position : null}
      where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${usage.generation}`
  })
}

/** A key without a row, and the start of its period as PostgreSQL formats it. */
type Unopened = { account: string; start: string }

function readUnopened(
  transaction: Transaction,
  shard: number,
  kinds: readonly PeriodKind[],
): Promise<Unopened[]> {
  return transaction<Unopened[]>`
    select k.token_hash as account, b.start::text as start
    from (${liveSource(transaction).keys()}) k
      ${joinStarts(transaction, kinds)}
      left join (
        select q.token_hash, q.start
        from key_period_usage q
        where q.shard = ${shard} and q.generation = ${liveGeneration(transaction, 'usage')}
      ) q on q.token_hash = k.token_hash and q.start = b.start
    where q.token_hash is null`
}

/**
 * Makes the rows of some keys while the checkpoint of usage is locked, so that the fold adds to
 * them what comes after it. Returns false, and makes none, if the rows of the shard are not as far
 * as its usage, or acts are not, so that it is unknown where quota periods count them.
 */
async function openSome(
  transaction: Transaction,
  shard: number,
  keys: readonly Unopened[],
): Promise<boolean> {
  const usage = await readUsage(transaction, shard, transaction`for update of c`)
  if (usage === null || usage.periods_position !== usage.position) return false
  if (Number(usage.acts_position) < Number(usage.position)) return false
  const used = await readUsed(transaction, shard, keys)
  await transaction`
    insert into key_period_usage (shard, generation, token_hash, start, quota_used)
    select s.shard, ${usage.generation}, f.token_hash, f.start, f.quota_used
    from shards s
      cross join unnest(
        ${toTextArray(keys, ({ account }) => account)}::text[],
        ${toTextArray(keys, ({ start }) => start)}::timestamptz[],
        ${toTextArray(keys, ({ account }) => used.get(account) ?? '0')}::numeric[]
      ) as f(token_hash, start, quota_used)
    where s.shard = ${shard}
    on conflict (shard, generation, token_hash) do update set
      start = excluded.start, quota_used = excluded.quota_used`
  return true
}

/** Adds up what keys used in a shard since their periods began. */
async function readUsed(
  transaction: Transaction,
  shard: number,
  keys: readonly Unopened[],
): Promise<Map<string, string>> {
  const accounts = toTextArray(keys, ({ account }) => account)
  const starts = toTextArray(keys, ({ start }) => start)
  const listed = transaction`select unnest(${accounts}::text[])`
  const scope: Scope = { kind: 'key', account: null, listed }
  const rows = await transaction<{ account: string; quota_used: string }[]>`
    select f.account, sum(u.quota_used) as quota_used
    from unnest(${accounts}::text[], ${starts}::timestamptz[]) as f(account, start)
      join (
        select t.account, t.quarter, t.quota_used
        from (${timelyRows(transaction, scope)}) t
        where t.shard = ${shard} and t.quarter >= ${firstStartOf(keys)}::timestamptz
        union all
        select b.account, b.quarter, b.quota_used
        from (${selectBackdated(transaction, listed, null)}) b
        where b.shard = ${shard}
      ) u on u.account = f.account and u.quarter >= f.start
    group by f.account`
  return new Map(rows.map(({ account, quota_used }) => [account, quota_used]))
}

/** The positions through which usage, its totals and acts are folded in a shard. */
type UsageCheckpoint = {
  generation: number
  position: string
  periods_position: string | null
  acts_position: string
}

async function readUsage(
  sql: Sql | Transaction,
  shard: number,
  lock: Fragment = sql``,
): Promise<UsageCheckpoint | null> {
  const [row] = await sql<UsageCheckpoint[]>`
    select c.generation, c.position, c.periods_position, a.position as acts_position
    from checkpoints c
      join checkpoints a on a.shard = c.shard and a.projection = 'bookkeeping'
        and a.generation = ${liveGeneration(sql, 'bookkeeping')}
    where c.shard = ${shard} and c.projection = 'usage'
      and c.generation = ${liveGeneration(sql, 'usage')}
    ${lock}`
  return row ?? null
}
