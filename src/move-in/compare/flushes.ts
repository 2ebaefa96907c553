import type { Accounts } from '../accounts.ts'
import type { MovedBatch } from '../openings.ts'
import type { Service } from '../service.ts'
import type { Line } from './judge.ts'
import { type Field, splitAccount } from './readings.ts'

/** An event since the move that counted for an account. */
export type Flush = {
  position: string
  type: string
  recordedAt: string
  source: string
  idempotencyKey: string | null
  counted: bigint
  /** True if it counted exactly the difference, or took it back: perhaps it was posted twice. */
  isSuspect: boolean
}

export type Behind = {
  flushes: Flush[]
  /** How many events there are in all; null if there were more than were read. */
  total: number | null
  /**
   * What the service had counted before the move: flushes that were posted to both systems already,
   * and so are in the opening balance as well. Null if that is not known.
   */
  earlier: bigint | null
  /** The path that has all of them. */
  path: string
}

type Item = {
  shard: number
  position: number
  type: string
  recorded_at: string
  source: string
  idempotency_key: string | null
  counted: Record<string, number | bigint>
}
type Page = { items: Item[]; next_after: string | null }

const NAMES: Record<Field, string> = {
  ...{ requests: 'requests', successes: 'success_requests' },
  ...{ tokens: 'tokens', quota_used: 'quota_used' },
}

/** Pages of 1,000 events that are read for one account. */
const MAX_PAGES = 5
/** Events that are returned for one account: those that counted the difference, then the newest. */
const MAX_FLUSHES = 10

/** Reads the events since the move that made up the service's amount of a line. */
export async function readFlushes(
  service: Service,
  line: Line,
  accounts: Accounts,
  batches: readonly MovedBatch[],
): Promise<Behind> {
  const first = batches[0]!
  const scope = scopeOf(line.account, accounts)
  const path = `/audit/explain?${scope}&after=0/${first.position}`
  if (scope === null) return { flushes: [], total: 0, earlier: null, path: '' }
  const name = NAMES[line.field]
  const difference = line.old - line.now
  const flushes: Flush[] = []
  let after: string | null = `0/${first.position}`
  for (let pages = 0; after !== null && pages < MAX_PAGES; pages++) {
    const query: string = `/audit/explain?${scope}&limit=1000&after=${after}`
    const { items, next_after }: Page = await service.send('GET', query)
    // Positions say nothing of other shards, but times do.
    const since = items.filter(({ recorded_at }) => recorded_at > first.recordedAt)
    flushes.push(
      ...since
        .filter(({ type }) => type !== 'BalancesOpened')
        .map((item) => toFlush(item, BigInt(item.counted[name] ?? 0), difference)),
    )
    after = next_after
  }
  const counting = flushes.filter(({ counted }) => counted !== 0n)
  const isKnown = after === null && line.moved !== null && line.field !== 'quota_used'
  const since = counting.reduce((sum, { counted }) => sum + counted, 0n)
  const newest = counting.filter(({ isSuspect }) => !isSuspect).toReversed()
  return {
    flushes: [...counting.filter(({ isSuspect }) => isSuspect), ...newest].slice(0, MAX_FLUSHES),
    total: after === null ? counting.length : null,
    earlier: isKnown ? line.now - line.moved! - since : null,
    path,
  }
}

const toFlush = (item: Item, counted: bigint, difference: bigint): Flush => ({
  position: `${item.shard}/${item.position}`,
  ...{ type: item.type, recordedAt: item.recorded_at, source: item.source, counted },
  idempotencyKey: item.idempotency_key,
  isSuspect: counted !== 0n && (counted === difference || counted === -difference),
})

function scopeOf(account: string, { groups, apiKeys }: Accounts): string | null {
  const { kind, ref } = splitAccount(account)
  if (kind === 'keys') return `token_hash=${encodeURIComponent(ref)}`
  const id = (kind === 'api_keys' ? apiKeys : groups).get(ref)?.id
  return id === undefined ? null : `${kind === 'api_keys' ? 'api_key_id' : 'group_id'}=${id}`
}
