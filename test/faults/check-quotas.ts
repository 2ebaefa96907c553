import type { Sql } from '../../src/platform/postgres/pool.ts'
import { periodAt } from '../../src/quota/periods.ts'
import { TOKENS } from '../support/service.ts'
import { type History, type KeyEntry, TOKEN_KEYS } from './history.ts'

/** A flush of token keys in the log, and what it counts towards each quota. */
type Flush = { place: string; at: string; entries: KeyEntry[]; quota: Map<string, number> }
/** A reversal: where it is, and the quota that it takes back. */
type Reversal = { position: number; of: string; quota: Map<string, number> }
/** A reset: what it takes away, recorded at or before `at`. */
type Reset = { position: number; key: string | null; hash: string; at: string; taken: number }

type LogRow = {
  shard: number
  position: string
  type: string
  at: string
  idempotency_key: string | null
  payload: string
}

/**
 * What the log holds of token keys. All payloads are read here independently of the service's
 * reader.
 */
export class Quotas {
  /** By idempotency key. */
  readonly #flushes = new Map<string, Flush>()
  readonly #reversals: Reversal[] = []
  readonly #resets: Reset[] = []

  private constructor(private readonly violate: (what: string) => void) {}

  /** Reads the log. Violations are passed to `violate`. */
  static async read(owner: Sql, violate: (what: string) => void): Promise<Quotas> {
    const quotas = new Quotas(violate)
    const rows = owner<LogRow[]>`
      select
        e.shard, e.position, e.type, e.idempotency_key, e.payload::text as payload,
        to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as at
      from events e
      where e.type in ('KeyStatsFlushed', 'EventReversed', 'QuotaReset')
      order by e.shard, e.position`
    for await (const chunk of rows.cursor(1_000)) for (const row of chunk) quotas.#add(row)
    return quotas
  }

  #add({ shard, position, type, at, idempotency_key: key, payload }: LogRow): void {
    const place = `${shard}/${position}`
    if (type === 'KeyStatsFlushed') {
      const { hashes, requests, tokens, quota_tracked } = JSON.parse(payload) as KeyPayload
      if (hashes.length === 0) return
      const entries = hashes.map((token_hash, i) => ({
        ...{ token_hash, requests: requests[i]!, tokens: tokens[i]! },
      }))
      const counted = tokens.map((count, i) => (quota_tracked[i] ? count : 0))
      if (this.#flushes.has(key ?? place)) this.violate(`${key} is in the log twice`)
      this.#flushes.set(key ?? place, { place, at, entries, quota: sum(hashes, counted) })
      return
    }
    const { reversed, at: moment, keys } = JSON.parse(payload) as ActPayload
    const quota = sum(keys?.hashes ?? [], keys?.quota_used ?? [])
    if (type === 'EventReversed') {
      this.#reversals.push({ position: Number(position), of: reversed!, quota })
    } else {
      const [[hash, taken]] = [...quota] as [[string, number]]
      this.#resets.push({ position: Number(position), key, hash, at: moment!, taken })
    }
  }

  /** Each acknowledged flush and reset is there once and as it was sent, and no other. */
  checkSent({ keySent, resets }: Pick<History, 'keySent' | 'resets'>): void {
    const sentKeys = new Set(keySent.map(({ key }) => key))
    for (const key of this.#flushes.keys()) {
      if (!sentKeys.has(key)) this.violate(`${key} was never sent`)
    }
    for (const { key, ack, keyEntries } of keySent) {
      const flush = this.#flushes.get(key)
      if (ack !== null && flush?.place !== ack.position) {
        this.violate(`${key} was acknowledged at ${ack.position}, but is at ${flush?.place}`)
      }
      if (flush && canonical(flush.entries) !== canonical(keyEntries)) {
        this.violate(`${key} at ${flush.place} has other entries than were sent`)
      }
    }
    for (const { key, hash, position } of resets) {
      const there = this.#resets.filter((reset) => reset.key === key)
      if (there.length > 1) this.violate(`${key} is in the log ${there.length} times`)
      const found = there[0] && `0/${there[0].position}`
      if (position !== null && found !== position) {
        this.violate(`${key} was acknowledged at ${position}, but is at ${found}`)
      }
      if (there[0] && there[0].hash !== hash) this.violate(`${key} resets ${there[0].hash}`)
    }
    const asked = new Set(resets.map(({ key }) => key))
    for (const { key } of this.#resets) if (!asked.has(key!)) this.violate(`${key} was never sent`)
  }

  /** Each reset takes what counted until then, and each reversal what no reset has taken before. */
  checkTaken(): void {
    for (const { position, of, quota } of this.#reversals) {
      const flush = [...this.#flushes.values()].find(({ place }) => place === of)
      for (const [hash, posted] of flush?.quota ?? []) {
        const isTaken = this.#resets.some(
          (reset) => reset.hash === hash && reset.position < position && reset.at >= flush!.at,
        )
        const expected = isTaken ? 0 : posted
        const found = quota.get(hash) ?? 0
        if (found !== expected)
          this.violate(`reversal 0/${position} takes ${found}, not ${expected}`)
      }
    }
    for (const { position, hash, at, taken } of this.#resets) {
      const since = this.#lastReset(hash, position)
      const expected = this.#counted(hash, (flush) => flush.at <= at && flush.at > since, position)
      if (taken !== expected) this.violate(`reset 0/${position} takes ${taken}, not ${expected}`)
    }
  }

  /** What an instance shows as used, and lists as exhausted, is what the log says. */
  async checkUsed(url: string): Promise<void> {
    const { items } = await read<KeyRow>(url, '/admin/keys', TOKENS.admin)
    for (const row of items.filter(({ token_hash }) => TOKEN_KEYS.includes(token_hash))) {
      const { token_hash, quota_used, quota_period = 'none', quota_tz = 'UTC' } = row
      const start =
        quota_period === 'none' ? '' : periodAt(quota_period, quota_tz, Date.now()).start
      const since = this.#lastReset(token_hash)
      const expected = this.#counted(token_hash, ({ at }) => at > since && at >= start)
      if (quota_used !== expected) this.violate(`${token_hash}: ${quota_used}, not ${expected}`)
    }
    const exhausted = items.filter(
      (row) => row.quota_limit >= 0 && row.quota_used >= row.quota_limit,
    )
    const listed = await read<KeyRow>(url, '/internal/quota/exhausted', TOKENS.dp)
    const [expected, found] = [exhausted, listed.items].map((rows) =>
      rows.map((row) => `${row.token_hash} ${row.quota_used}`).join(', '),
    )
    if (found !== expected) this.violate(`exhausted: ${found}, not ${expected}`)
  }

  /** Returns the moment of the last reset of a key, or the last before an act; '' if none. */
  #lastReset(of: string, before = Number.POSITIVE_INFINITY): string {
    const resets = this.#resets.filter(({ hash, position }) => hash === of && position < before)
    return (
      resets
        .map(({ at }) => at)
        .sort()
        .at(-1) ?? ''
    )
  }

  /** Sums the quota of the flushes that are not reversed, or not before an act. */
  #counted(hash: string, isIn: (flush: Flush) => boolean, before = Number.POSITIVE_INFINITY) {
    const reversed = new Set(
      this.#reversals.filter(({ position }) => position < before).map(({ of }) => of),
    )
    return [...this.#flushes.values()]
      .filter((flush) => isIn(flush) && !reversed.has(flush.place))
      .reduce((all, { quota }) => all + (quota.get(hash) ?? 0), 0)
  }
}

type KeyPayload = {
  hashes: string[]
  requests: number[]
  tokens: number[]
  quota_tracked: (boolean | null)[]
}
type ActPayload = {
  reversed?: string
  at?: string
  keys?: { hashes: string[]; quota_used: number[] }
}
type KeyRow = {
  token_hash: string
  quota_limit: number
  quota_used: number
  quota_period?: 'day' | 'week' | 'month' | 'none'
  quota_tz?: string
}

async function read<Row>(url: string, path: string, token: string): Promise<{ items: Row[] }> {
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as { items: Row[] }
}

function sum(hashes: readonly string[], counts: readonly number[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const [i, hash] of hashes.entries()) sums.set(hash, (sums.get(hash) ?? 0) + counts[i]!)
  return sums
}

const canonical = (entries: readonly KeyEntry[]) =>
  entries
    .map(({ token_hash, requests, tokens }) => `${token_hash} ${requests} ${tokens}`)
    .sort()
    .join(', ')
