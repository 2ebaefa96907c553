import { timeOfUsage } from '../../src/events/instant.ts'
import { encodeKeyFlush } from '../../src/events/key-flush.ts'
import { periodAt } from '../../src/quota/periods.ts'
import { makeRandom, type Random } from '../faults/random.ts'
import { TEST_SHARDS } from '../support/server.ts'

/** An event of the history, as it is stored. */
export type Happening = {
  shard: number
  /** RFC 3339 with microseconds. */
  at: string
  type:
    | 'CatalogChanged'
    | 'KeyStatsFlushed'
    | 'BalancesOpened'
    | 'TotalsAdjusted'
    | 'EventReversed'
    | 'QuotaReset'
  version: number
  isAct: boolean
  payload: string
}

/** What an event counted towards the quota of a key: when it was recorded, and when it counts. */
type Posting = { key: string; quota: number; recordedMs: number; effectiveMs: number }

/** A posted event that may be reversed. */
type Posted = { place: string; type: Happening['type']; at: string; time: string; of: Posting[] }

/** A key as the catalog has it from a time on. */
type Version = {
  fromMs: number
  token_hash: string
  quota_period?: 'day' | 'week' | 'month'
  quota_tz?: string
}

const FIRST_MS = Date.UTC(2026, 0, 1)
const DAY_MS = 86_400_000
const LAST_MS = Date.UTC(2026, 10, 28)
/** How long (ms) flushes wait at most. */
const WAITS_MS = [7_200_000, 86_400_000, 35 * 86_400_000]
const KEYS = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6']
const KINDS: Pick<Version, 'quota_period' | 'quota_tz'>[] = [
  {},
  { quota_period: 'day' },
  { quota_period: 'week', quota_tz: 'Asia/Kathmandu' },
  { quota_period: 'month', quota_tz: 'Europe/Berlin' },
  { quota_period: 'day', quota_tz: 'America/St_Johns' },
  { quota_period: 'month', quota_tz: 'Pacific/Kiritimati' },
]

/** Random events of one year, and the naive model of what each key used as of any time. */
export class History {
  readonly happenings: Happening[] = []
  readonly seen = { late: 0, resets: 0, reversals: 0, fromBefore: 0, openings: 0, adjustments: 0 }
  readonly #postings: Posting[] = []
  readonly #resets: { key: string; ms: number }[] = []
  readonly #versions: Version[] = []
  readonly #posted: Posted[] = []
  readonly #heads = Array.from({ length: TEST_SHARDS }, () => -1)
  readonly #random: Random
  #opened = 0

  constructor(seed: number, events: number) {
    this.#random = makeRandom(seed)
    this.#put(
      FIRST_MS,
      KEYS.map((token_hash, i) => ({ token_hash, ...KINDS[i]! })),
    )
    const step = (LAST_MS - FIRST_MS) / events
    for (let i = 1, last = FIRST_MS; i < events; i++) {
      const ms = FIRST_MS + Math.floor((i + this.#random.next()) * step)
      // Some in the first quarter hour of a day, or at its very start.
      const early = ms - (ms % DAY_MS) + this.#random.pick([0, 1, 400_000, 899_999])
      const isEarly = early > last && early <= ms && this.#random.chance(0.3)
      last = isEarly ? early : ms
      this.#happen(last)
    }
  }

  /** The rows of GET /admin/keys as of a time, by hash. */
  rowsAt(moment: string) {
    const nowMs = Date.parse(moment)
    return KEYS.map((token_hash) => {
      const version = this.#versions.findLast(
        (one) => one.token_hash === token_hash && one.fromMs <= nowMs,
      )!
      const { quota_period, quota_tz = 'UTC' } = version
      const bounds = quota_period && periodAt(quota_period, quota_tz, nowMs)
      const startMs = bounds ? Date.parse(bounds.start) : Number.NEGATIVE_INFINITY
      const reset = this.#resets.findLast(({ key, ms }) => key === token_hash && ms <= nowMs)
      const used = this.#postings
        .filter(({ key, recordedMs }) => key === token_hash && recordedMs <= nowMs)
        .filter(({ recordedMs }) => recordedMs > (reset?.ms ?? Number.NEGATIVE_INFINITY))
        .filter(({ effectiveMs }) => effectiveMs >= startMs)
        .reduce((sum, { quota }) => sum + quota, 0)
      return {
        ...{ token_hash, quota_used: bounds ? Math.max(0, used) : used },
        ...(bounds && { quota_period_start: bounds.start, quota_resets_at: bounds.end }),
      }
    })
  }

  #happen(ms: number): void {
    const key = this.#random.pick(KEYS)
    const dice = this.#random.next()
    if (dice < 0.6) this.#flush(ms)
    else if (dice < 0.7) this.#adjust(ms, key)
    else if (dice < 0.85) this.#reverse(ms)
    else if (dice < 0.92) this.#reset(ms, key)
    else if (dice < 0.96) this.#open(ms)
    else this.#put(ms, [{ token_hash: key, ...this.#random.pick(KINDS) }])
  }

  #flush(ms: number): void {
    const hashes = [this.#random.pick(KEYS), this.#random.pick(KEYS)]
    const tokens = hashes.map(() => Math.floor(this.#random.next() * 1_000))
    // Some waited on a disk for hours or weeks.
    const isLate = this.#random.next() < 0.4
    const waitedMs = isLate ? this.#random.next() * this.#random.pick(WAITS_MS) : 0
    const countedAt = Math.floor((ms - waitedMs) / 1_000)
    if (isLate) this.seen.late++
    const payload = encodeKeyFlush({
      ...{ hashes, requests: [1, 1], tokens },
      ...{ last_accessed_at: [0, 0], quota_tracked: [true, true] },
      ...(isLate && { counted_at: countedAt }),
    })
    const shard = Math.floor(this.#random.next() * TEST_SHARDS)
    const effectiveMs = isLate ? countedAt * 1_000 : ms
    const of = hashes.map((key, i) => ({ key, quota: tokens[i]!, recordedMs: ms, effectiveMs }))
    const time = timeOfUsage(isLate ? countedAt : undefined, toText(ms))
    this.#record(shard, ms, 'KeyStatsFlushed', JSON.parse(payload), { of, time }, isLate ? 2 : 1)
  }

  #adjust(ms: number, key: string): void {
    this.seen.adjustments++
    const quota = Math.floor(this.#random.next() * 1_000) - 100
    const of = [{ key, quota, ...times(ms) }]
    const payload = { reason: 'by hand', keys: amountsOf(of) }
    this.#record(0, ms, 'TotalsAdjusted', payload, { of, time: toText(ms) })
  }

  /** Opens a key that the catalog has no more use for, so that each is opened once. */
  #open(ms: number): void {
    const key = KEYS[this.#opened++ % KEYS.length]!
    this.seen.openings++
    // Some until the very start of a month or a day, which then counts nothing in it.
    const back = this.#random.pick([0, 3_600_000, 40 * DAY_MS])
    const asOf = this.#random.next() < 0.3 ? ms - (ms % DAY_MS) : ms - back
    const of = [{ key, quota: 500, recordedMs: ms, effectiveMs: asOf - 0.001 }]
    const payload = {
      ...{ as_of: toText(asOf), origin: { system: 'old', note: null } },
      keys: amountsOf(of),
    }
    this.#record(0, ms, 'BalancesOpened', payload, { of, time: toText(asOf) })
  }

  #reverse(ms: number): void {
    const recent = this.#posted.slice(-25)
    if (recent.length === 0) return
    const reversed = this.#random.pick(recent)
    this.#posted.splice(this.#posted.indexOf(reversed), 1)
    this.seen.reversals++
    const of = reversed.of.map((posting) => {
      const isFromBefore = this.#resets.some(
        (reset) => reset.key === posting.key && reset.ms >= posting.recordedMs,
      )
      if (isFromBefore) this.seen.fromBefore++
      return { ...posting, quota: isFromBefore ? 0 : posting.quota }
    })
    const payload = {
      ...{ reversed: reversed.place, type: reversed.type, at: reversed.time },
      ...{ reason: 'twice', keys: amountsOf(of) },
    }
    const taken = of.map((one) => ({ ...one, quota: -one.quota, recordedMs: ms }))
    this.#record(0, ms, 'EventReversed', payload, { of: taken, time: toText(ms) })
    this.#posted.pop()
  }

  #reset(ms: number, key: string): void {
    this.seen.resets++
    // Decided a second before it is recorded.
    const cutMs = ms - 1_000
    const before = this.#resets.findLast((reset) => reset.key === key)?.ms ?? -1
    const quota = this.#postings
      .filter((one) => one.key === key && one.recordedMs > before && one.recordedMs <= cutMs)
      .reduce((sum, one) => sum + one.quota, 0)
    const payload = {
      ...{ at: toText(cutMs), reason: 'new contract' },
      through: this.#heads.map((position, shard) => `${shard}/${position}`).join(','),
      keys: { hashes: [key], requests: [0], tokens: [0], quota_used: [quota] },
    }
    this.#record(0, ms, 'QuotaReset', payload, { of: [], time: toText(ms) })
    this.#posted.pop()
    this.#resets.push({ key, ms: cutMs })
  }

  #put(ms: number, keys: Omit<Version, 'fromMs'>[]): void {
    for (const key of keys) this.#versions.push({ fromMs: ms, ...key })
    const rows = keys.map((key) => ({ quota_limit: 1_000, name: null, ...key }))
    const payload = { upserted: { keys: rows }, ended: {} }
    this.#record(0, ms, 'CatalogChanged', payload, { of: [], time: toText(ms) }, 2)
    this.#posted.pop()
  }

  #record(
    shard: number,
    ms: number,
    type: Happening['type'],
    payload: object,
    { of, time }: { of: Posting[]; time: string },
    version = 1,
  ): void {
    const isAct = shard === 0 && !['CatalogChanged', 'KeyStatsFlushed'].includes(type)
    const at = toText(ms)
    this.happenings.push({ shard, at, type, version, isAct, payload: JSON.stringify(payload) })
    const place = `${shard}/${++this.#heads[shard]!}`
    this.#postings.push(...of)
    this.#posted.push({ place, type, at, time, of })
  }
}

const times = (ms: number) => ({ recordedMs: ms, effectiveMs: ms })

const toText = (ms: number) => `${new Date(ms).toISOString().slice(0, -1)}000+00:00`

const amountsOf = (postings: readonly Posting[]) => ({
  hashes: postings.map(({ key }) => key),
  requests: postings.map(() => 1),
  tokens: postings.map(({ quota }) => quota),
  quota_used: postings.map(({ quota }) => quota),
})
