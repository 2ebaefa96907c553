import type { Transaction } from '../platform/postgres/pool.ts'
import { toTextArray } from '../read-model/projections/array.ts'
import { endOfBlock } from '../read-model/projections/backdated.ts'
import { usage } from '../read-model/projections/usage.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { readReflected } from '../read-model/queries/live.ts'
import type { Source } from '../read-model/queries/live-source.ts'
import { type Past, selectBackdated, selectResets } from './backdated.ts'
import { firstStartOf, joinStarts, type PeriodKind, type QuotaScope } from './kinds.ts'

/** What reads of quota periods need of the log. */
export type History = Pick<AsOfQueries, 'shards' | 'readPositionBefore' | 'foldBlock'>

/** Which keys are read, the kinds of periods that they have, and the state; null for now. */
type Asked = { scope: QuotaScope; kinds: readonly PeriodKind[]; past: Past | null }

/** A key whose quota was reset in its current period, and the first moment after that. */
type ResetKey = { account: string; start: string; after: string }

/** A backdated row of such a key that counts before the period began. */
type Row = { account: string; shard: number; position: string; quota_used: string }

/**
 * Reads what was recorded since the last reset of keys, but counts before their period, for keys
 * that were reset in it. Their counters count from the reset, and include it.
 *
 * A row of backdated usage is that of an act, which is recorded before a reset or after it, or the
 * sum of a block of flushes. If a reset falls into a block, the flushes before it are folded again.
 */
export async function readEarlier(
  transaction: Transaction,
  source: Source,
  history: History,
  asked: Asked,
): Promise<Map<string, bigint>> {
  const { past } = asked
  const earlier = new Map<string, bigint>()
  const keys = await readResetKeys(transaction, source, asked)
  if (keys.size === 0) return earlier
  const add = (account: string, quota: bigint) =>
    void earlier.set(account, (earlier.get(account) ?? 0n) + quota)
  const ends = new Map<string, Promise<number>>()
  /** Returns the last position of a shard that a reset has covered. */
  const endOf = (shard: number, { after }: ResetKey) => {
    const place = `${shard}/${after}`
    const end = ends.get(place) ?? history.readPositionBefore(transaction, shard, after)
    ends.set(place, end)
    return end
  }
  const reached = past?.positions ?? (await readReflected(transaction, [usage]))
  const blocks = new Map<string, { shard: number; end: number }>()
  for (const { account, shard, position, quota_used } of await readRows(
    transaction,
    history,
    [...keys.values()],
    past,
  )) {
    const end = await endOf(shard, keys.get(account)!)
    // The last block is incomplete.
    if (Math.min(Number(position), reached[shard]!) <= end) continue
    add(account, BigInt(quota_used))
    if (Number(position) <= endOfBlock(end)) blocks.set(`${shard}/${end}`, { shard, end })
  }
  for (const { shard, end } of blocks.values()) {
    const block = { shard, position: end }
    const folded = await history.foldBlock(transaction, { kind: 'key', account: null }, block)
    for (const { account, start, values } of folded) {
      const key = keys.get(account as string)
      if (key === undefined || start >= key.start || (await endOf(shard, key)) !== end) continue
      add(key.account, -BigInt(values[2]!))
    }
  }
  return earlier
}

async function readResetKeys(
  transaction: Transaction,
  source: Source,
  { scope, kinds, past }: Asked,
): Promise<Map<string, ResetKey>> {
  const { tokenHash } = scope
  const rows = await transaction<{ account: string; kind: number; after: string }[]>`
    select k.token_hash as account, b.kind, (r.reset_at + interval '1 microsecond')::text as after
    from (${source.keys()}) k
      ${joinStarts(transaction, kinds)}
      join (${selectResets(transaction, past)}) r
        on r.token_hash = k.token_hash and r.reset_at >= b.start
    ${tokenHash === null ? transaction`` : transaction`where k.token_hash = ${tokenHash}`}`
  return new Map(
    rows.map(({ account, kind, after }) => [
      account,
      { account, start: kinds[kind]!.start, after },
    ]),
  )
}

/** Reads what counts before the periods of these keys and was recorded after the first of them. */
async function readRows(
  transaction: Transaction,
  history: History,
  keys: readonly ResetKey[],
  past: Past | null,
): Promise<Row[]> {
  const before: number[] = []
  for (let shard = 0; shard < history.shards; shard++) {
    before.push(await history.readPositionBefore(transaction, shard, firstStartOf(keys)))
  }
  const accounts = toTextArray(keys, ({ account }) => account)
  const starts = toTextArray(keys, ({ start }) => start)
  const listed = transaction`select unnest(${accounts}::text[])`
  const isSince = before
    .map((position, shard) => transaction`(u.shard = ${shard} and u.position > ${position})`)
    .reduce((all, one) => transaction`${all} or ${one}`)
  return transaction<Row[]>`
    select u.account, u.shard, u.position, u.quota_used
    from (${selectBackdated(transaction, listed, past)}) u
      join unnest(${accounts}::text[], ${starts}::timestamptz[]) as f(account, start)
        on f.account = u.account and u.quarter < f.start
    where ${isSince}`
}
