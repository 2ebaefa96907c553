import { addExact, type Exact } from '../../events/exact.ts'
import { formatPositions } from '../../events/positions.ts'
import type { OnFinding } from './finding.ts'
import { toText } from './page-values.ts'
import type { ServedUsage, UsageRequest } from './sources/source.ts'
import { readUsageBody, type Shown, usageFields } from './usage-body.ts'
import { countBuckets, formatBucket, indexOfBucket } from './usage-range.ts'

/** A page of usage, and the sums of the log up to the positions that it reflects. */
export class UsageCheck {
  /** For each bucket with usage: the values shown, followed by those counted. */
  readonly #sums = new Map<number, Shown[]>()
  readonly #fields: readonly string[]
  readonly #missing: ReadonlySet<number>

  private constructor(
    readonly request: UsageRequest,
    readonly positions: readonly number[],
    { shown, missing }: NonNullable<ReturnType<typeof readUsageBody>>,
  ) {
    this.#fields = usageFields(request)
    this.#missing = missing
    for (const [index, values] of shown) this.#sums.set(index, [...values, ...values.map(() => 0)])
  }

  /** Opens a page. Reports and returns null if it is not the requested page. */
  static open(
    request: UsageRequest,
    { body, positions }: ServedUsage,
    report: OnFinding,
  ): UsageCheck | null {
    const read = readUsageBody(request, body, (where, message) => {
      report({ kind: 'total', at: placeOf(request, where), message })
    })
    return read === null ? null : new UsageCheck(request, positions, read)
  }

  /** Adds the counts of an event at this position and time, if the page reflects it. */
  add(shard: number, position: number, ms: number, values: readonly number[]): void {
    const { from, to } = this.request
    if (position > this.positions[shard]! || ms < from || ms >= to) return
    const index = indexOfBucket(this.request, ms)
    let sums = this.#sums.get(index)
    if (sums === undefined) {
      sums = [...values, ...values].fill(0)
      this.#sums.set(index, sums)
    }
    for (const [i, value] of values.entries()) {
      const at = values.length + i
      sums[at] = addExact(sums[at] as Exact, value)
    }
  }

  /** Compares all buckets on the page. Returns how many there are. */
  compare(report: OnFinding): number {
    const fields = this.#fields
    const differ = (sums: Shown[]) => fields.some((_, i) => sums[i] !== sums[fields.length + i])
    const wrong = [...this.#sums].filter(
      ([index, sums]) => differ(sums) && !this.#missing.has(index),
    )
    for (const [index, sums] of wrong.sort(([a], [b]) => a - b)) {
      const at = placeOf(this.request, formatBucket(this.request, index))
      for (const [i, field] of fields.entries()) {
        const [shown, counted] = [sums[i], sums[fields.length + i]]
        if (shown === counted) continue
        const message =
          `${field} is ${toText(shown)} as of ${formatPositions(this.positions)}, ` +
          `but ${counted} according to the log`
        report({ kind: 'total', at, message })
      }
    }
    return countBuckets(this.request) - this.#missing.size
  }
}

/** Returns the place of a finding: `usage api_keys 7 2026-01-31`, `usage all 2026-01-31T12:00Z`. */
export function placeOf({ kind, key }: UsageRequest, where: string): string {
  return ['usage', kind, ...(key === null ? [] : [key]), ...(where === '' ? [] : [where])].join(' ')
}
