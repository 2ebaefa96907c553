import { type Bounds, periodAt } from '../../src/quota/periods.ts'

/** What an event counted towards the quota of a key. */
type Posting = { key: string; quota: bigint; event: number; effectiveMs: number }

/** A key as the catalog has it. */
type Quota = { used: { quota: bigint }; quota_period?: string; quota_tz?: string }

/** Which event counted towards which quota, and when quotas were reset. */
export class NaiveQuotas {
  readonly #postings: Posting[] = []
  /** The number of the last reset of each key, among all events. */
  readonly #resets = new Map<string, number>()
  #events = 0

  /** Notes an event that counts at a time. Returns its number. */
  note(
    effects: readonly { kind: string; id: number | string; sums: bigint[] }[],
    effectiveMs = Date.now(),
  ): number {
    const event = ++this.#events
    for (const { kind, id, sums } of effects) {
      if (kind === 'keys') {
        this.#postings.push({ key: String(id), quota: sums[2] ?? 0n, event, effectiveMs })
      }
    }
    return event
  }

  reset(key: string): void {
    this.#resets.set(key, ++this.#events)
  }

  /** True if a key was reset after an event. */
  isReset(key: string, event: number): boolean {
    return (this.#resets.get(key) ?? 0) > event
  }

  /** What the key's page shows as used: with a period, since that or the last reset began. */
  usedOf(hash: string, key: Quota): bigint {
    const bounds = boundsOf(key)
    if (bounds === null) return key.used.quota
    const sum = this.#postings
      .filter(({ key, event }) => key === hash && !this.isReset(hash, event))
      .filter(({ effectiveMs }) => effectiveMs >= Date.parse(bounds.start))
      .reduce((all, { quota }) => all + quota, 0n)
    return sum > 0n ? sum : 0n
  }
}

function boundsOf({ quota_period = 'none', quota_tz = 'UTC' }: Quota): Bounds | null {
  return quota_period === 'none' ? null : periodAt(quota_period as 'day', quota_tz, Date.now())
}

/** What the row of a key shows of its period. */
export function periodOf(key: Quota): Record<string, string> {
  const { quota_period = 'none', quota_tz = 'UTC' } = key
  if (quota_period === 'none' && quota_tz === 'UTC') return {}
  const bounds = boundsOf(key)
  return {
    ...{ quota_period, quota_tz },
    ...(bounds && { quota_period_start: bounds.start, quota_resets_at: bounds.end }),
  }
}
