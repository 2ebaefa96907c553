import { isAct } from '../../../src/events/act.ts'
import { type Event, postingsOf, tryDecodeEvent } from '../../../src/events/event.ts'
import { startOfQuarterHour } from '../../../src/events/instant.ts'
import { unknownOf } from '../../../src/events/unknown.ts'

/** Sums by what they are sums of, and the greatest last access. */
class Rows {
  readonly #rows = new Map<string, { sums: bigint[]; accessed: number }>()

  add(key: string, values: number[], accessed: number): void {
    const row = this.#rows.get(key) ?? { sums: values.map(() => 0n), accessed: 0 }
    const sums = row.sums.map((sum, i) => sum + BigInt(values[i]!))
    this.#rows.set(key, { sums, accessed: Math.max(row.accessed, accessed) })
  }

  /** Returns rows as texts: the key, the sums, and after three of them the access. */
  toTexts(place: number): string[] {
    return [...this.#rows]
      .map(([key, { sums, accessed }]) =>
        [key, ...sums.toSpliced(place, 0, BigInt(accessed))].join(' '),
      )
      .sort()
  }
}

/** Returns what acts count, and the entries for unknown keys, as the service reads payloads. */
export function readBooks(
  events: { type: string; version: number; payload: string }[],
  recordedAt: string,
): { acts: string[]; unknown: string[] } {
  const acts = new Rows()
  const unknown = new Rows()
  for (const stored of events) {
    const event = tryDecodeEvent(stored)
    if (event === null) continue
    if (isAct(event.type)) addAct(acts, event, recordedAt)
    addUnknown(unknown, event, recordedAt)
  }
  return { acts: acts.toTexts(3), unknown: unknown.toTexts(2) }
}

function addAct(acts: Rows, event: Event, recordedAt: string): void {
  for (const { kind, accounts, sums, maxima, start, end, countedAt } of postingsOf(
    event,
    recordedAt,
  )) {
    const quarter = countedAt == null ? 'none' : startOfQuarterHour(countedAt)
    for (let i = start; i < end; i++) {
      const account = (accounts as (number | string)[])[i]
      const [requests, seconds, quotaUsed] = sums.map((column) => column[i]!)
      const values = [requests!, seconds!, quotaUsed ?? 0]
      acts.add(`${kind} ${account} ${quarter}`, values, maxima[0]?.[i] ?? 0)
    }
  }
}

function addUnknown(unknown: Rows, event: Event, recordedAt: string): void {
  const seen = new Set<string>()
  for (const entries of unknownOf(event, recordedAt)) {
    const { kind, names, times, requests, seconds, accesses, flushes } = entries
    for (const [i, name] of names.entries()) {
      const key = `${kind} ${name} ${startOfQuarterHour(typeof times === 'string' ? times : times[i]!)}`
      const sign = flushes === null ? 1 : -1
      // A flush may name a key several times.
      const number = flushes?.[i] ?? (seen.has(key) ? 0 : 1)
      seen.add(key)
      const values = [sign * requests[i]!, sign * seconds[i]!, sign * number]
      unknown.add(key, values, accesses?.[i] ?? 0)
    }
  }
}
