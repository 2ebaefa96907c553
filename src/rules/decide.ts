import { formatPositions, type Positions } from '../events/positions.ts'
import type { RuleRow } from '../events/rule.ts'
import type { Subject } from '../events/types/rule-events.ts'
import { type Crossing, keyOf, type RuleEvent } from './crossings.ts'

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
export type MeasuredRule = { rule: RuleRow; measured: readonly Measured[] }

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
  /** The RuleCrossed of each crossing, by position. */
  crossed: ReadonlyMap<number, RuleEvent>
}

/**
 * Returns the events of what has changed: a subject has crossed a rule, no longer does, or is no
 * longer watched by it.
 */
export function decide(evaluation: Evaluation): RuleEvent[] {
  const { at, heads, measured, skipped, crossings } = evaluation
  const events: RuleEvent[] = []
  const known = new Map(crossings.map((one) => [keyOf(one.rule, one.subject), one]))
  for (const { rule, measured: found } of measured) {
    for (const { subject, state, value, from, through } of found) {
      const crossing = known.get(keyOf(rule.name, subject))
      known.delete(keyOf(rule.name, subject))
      const seen = {
        ...{ rule, subject, value, at },
        ...(from && { from: formatPositions(from) }),
        through: formatPositions(through),
      }
      if (state === 'crossed' && crossing === undefined) {
        events.push({ type: 'RuleCrossed', data: seen })
      } else if (state === 'clear' && crossing !== undefined) {
        events.push(cleared(evaluation, crossing, seen, 'recovered'))
      }
    }
  }
  for (const crossing of known.values()) {
    if (skipped.has(crossing.rule)) continue
    const { rule } = evaluation.crossed.get(crossing.position)!.data
    const { subject } = crossing
    const seen = { rule, subject, value: {}, at, through: formatPositions(heads) }
    events.push(cleared(evaluation, crossing, seen, 'unwatched'))
  }
  return events
}

function cleared(
  { crossed }: Evaluation,
  { position }: Crossing,
  seen: RuleEvent['data'],
  why: 'recovered' | 'unwatched',
): RuleEvent {
  const crossed_at = crossed.get(position)!.data.at
  return { type: 'RuleCleared', data: { ...seen, crossed_at, why } }
}

/** Returns an amount as an event states it: a whole number from 0 to 2^53 - 1. */
export const toCount = (amount: number | bigint): number =>
  Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, Math.floor(Number(amount))))
