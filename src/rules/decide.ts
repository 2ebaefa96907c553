import { formatPositions, type Positions } from '../events/positions.ts'
import type { RuleRow } from '../events/rule.ts'
import type { Cleared, Crossed, Subject } from '../events/types/rule-events.ts'
import type { Crossing, RuleEvent } from './crossings.ts'

/** What was found of a subject of a rule. */
export type Measured = {
  subject: Subject
  /** `unsure` changes nothing. */
  state: 'crossed' | 'clear' | 'unsure'
  value: Record<string, number>
  /** The positions that the value reflects, and after which its window begins. */
  through: Positions
  from?: Positions
}

/** A rule, and what was found of each of its subjects. */
export type MeasuredRule = { rule: RuleRow; measured: Iterable<Measured> }

/** What a decision is made on. */
export type Evaluation = {
  /** When it was made (RFC 3339). */
  at: string
  /** The heads of the log before anything was measured. */
  heads: Positions
  /** The rules that could be measured. */
  measured: readonly MeasuredRule[]
  /** Names of rules that could not: they stay as they are. */
  skipped: ReadonlySet<string>
  crossings: readonly Crossing[]
}

/** What has changed: a subject has crossed a rule, or what it had crossed is over. */
export type Change =
  | { type: 'RuleCrossed'; data: Crossed }
  | { type: 'RuleCleared'; crossing: Crossing; seen: Seen; why: Cleared['why'] }

/** What an event states of an evaluation; `rule` is null if it no longer watches the subject. */
type Seen = Omit<Crossed, 'rule'> & { rule: RuleRow | null }

/** Subjects of a step of a decision: well under a millisecond. */
const STEP = 100

/**
 * Returns what has changed, the first `limit` changes: a subject has crossed a rule, no longer
 * does, or is no longer watched by it. It is made in steps, because a rule may have 100,000
 * subjects.
 */
export function* decide(evaluation: Evaluation, limit: number): Generator<void, Change[]> {
  const { at, heads, measured, skipped, crossings } = evaluation
  const changes: Change[] = []
  const known = new Known()
  let taken = 0
  for (const crossing of crossings) {
    known.add(crossing)
    if (++taken % STEP === 0) yield
  }
  for (const { rule, measured: found } of measured) {
    for (const one of found) {
      if (changes.length >= limit) return changes
      const crossing = known.take(rule.name, one.subject)
      if (one.state === 'crossed' && crossing === undefined) {
        changes.push({ type: 'RuleCrossed', data: { rule, ...describe(one, at) } })
      } else if (one.state === 'clear' && crossing !== undefined) {
        const seen = { rule, ...describe(one, at) }
        changes.push({ type: 'RuleCleared', crossing, seen, why: 'recovered' })
      }
      if (++taken % STEP === 0) yield
    }
  }
  for (const crossing of known.left()) {
    if (changes.length >= limit) break
    if (skipped.has(crossing.rule)) continue
    const { subject } = crossing
    const seen = { rule: null, subject, value: {}, at, through: formatPositions(heads) }
    changes.push({ type: 'RuleCleared', crossing, seen, why: 'unwatched' })
  }
  return changes
}

/** Crossings by rule, kind and id of the subject: a text of all three for each took longest. */
class Known {
  readonly #byRule = new Map<string, Map<string, Map<string, Crossing>>>()

  add(crossing: Crossing): void {
    const { rule, subject } = crossing
    const byKind = this.#byRule.get(rule) ?? new Map<string, Map<string, Crossing>>()
    const byId = byKind.get(subject.kind) ?? new Map<string, Crossing>()
    this.#byRule.set(rule, byKind.set(subject.kind, byId.set(subject.id, crossing)))
  }

  /** Returns a crossing that was not taken yet. */
  take(rule: string, { kind, id }: Subject): Crossing | undefined {
    const byId = this.#byRule.get(rule)?.get(kind)
    const crossing = byId?.get(id)
    if (crossing !== undefined) byId!.delete(id)
    return crossing
  }

  /** Returns those that were never taken. */
  *left(): Generator<Crossing> {
    for (const byKind of this.#byRule.values()) {
      for (const byId of byKind.values()) yield* byId.values()
    }
  }
}

const describe = ({ subject, value, from, through }: Measured, at: string) => ({
  ...{ subject, value, at },
  ...(from && { from: formatPositions(from) }),
  through: formatPositions(through),
})

/** Returns the event of a change. `crossed` has the RuleCrossed of what is over, by position. */
export function toEvent(change: Change, crossed: ReadonlyMap<number, RuleEvent>): RuleEvent {
  if (change.type === 'RuleCrossed') return change
  const { crossing, seen, why } = change
  const { rule, at } = crossed.get(crossing.position)!.data
  const data = { ...seen, rule: seen.rule ?? rule, crossed_at: at, why }
  return { type: 'RuleCleared', data }
}

/** Returns an amount as an event states it: a whole number from 0 to 2^53 - 1. */
export const toCount = (amount: number | bigint): number =>
  Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, Math.floor(Number(amount))))
