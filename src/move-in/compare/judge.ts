import { type Amounts, FIELDS, type Field, type Reading } from './readings.ts'

/**
 * - `equal`: the service had the amount of the older system, before and after that was read.
 * - `moving`: it may have had it, but counted something meanwhile.
 * - `different`: it did not have it at any time.
 */
export type Verdict = 'equal' | 'moving' | 'different'

/** One amount of an account, as it was last read. */
export type Line = {
  account: string
  field: Field
  verdict: Verdict
  /** What the move opened; null if it did not move this account. */
  moved: bigint | null
  old: bigint
  /** The service's amounts before and after the older system was read; equal if none arrived. */
  before: bigint
  now: bigint
}

/** Readings of one attempt: of the service, then of the older system, then of the service again. */
export type Attempt = { before: Reading; old: Reading; now: Reading }

/**
 * Judges each amount of the older system. Totals only grow, so the service's total at the moment
 * when the older system was read is between its two readings.
 */
export function judge(
  { before, old, now }: Attempt,
  opened: Reading,
  options: { tolerance: bigint; fields: readonly Field[] },
): Line[] {
  const lines: Line[] = []
  for (const [account, amounts] of old) {
    for (const field of FIELDS) {
      const amount = amounts[field]
      if (amount === undefined || !options.fields.includes(field)) continue
      const ends = [before, now].map((reading) => amountOf(reading.get(account), field))
      const [least, most] = ends[0]! < ends[1]! ? ends : ends.toReversed()
      lines.push({
        ...{ account, field, old: amount, before: ends[0]!, now: ends[1]! },
        moved: opened.get(account)?.[field] ?? null,
        verdict: toVerdict(amount - most!, amount - least!, options.tolerance),
      })
    }
  }
  return lines
}

const amountOf = (amounts: Amounts | undefined, field: Field) => amounts?.[field] ?? 0n

/** The difference is between `low` and `high`. */
function toVerdict(low: bigint, high: bigint, tolerance: bigint): Verdict {
  if (low >= -tolerance && high <= tolerance) return 'equal'
  return low > tolerance || high < -tolerance ? 'different' : 'moving'
}

/** Lines of the newest attempt that no attempt has found equal. */
export function openLines(lines: readonly Line[], equal: ReadonlySet<string>): Line[] {
  return lines.filter((line) => line.verdict !== 'equal' && !equal.has(nameOf(line)))
}

export const nameOf = ({ account, field }: Line) => `${account} ${field}`

/** True if nothing has changed from one attempt to the next, so that another finds the same. */
export function isSettled(previous: readonly Line[], lines: readonly Line[]): boolean {
  const seen = new Map(previous.map((line) => [nameOf(line), line]))
  return lines.every((line) => {
    const { old, now } = seen.get(nameOf(line)) ?? {}
    return line.verdict === 'different' && line.old === old && line.now === now
  })
}
